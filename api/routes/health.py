"""Is the process alive, can it serve, and does its Redis belong to its blobs?"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel

from api.context import Context, here
from api.http.operations import Answer, operation
from api.http.serializers import answer
from shared.errors import EaselError, LedgerLost, Unavailable
from shared.services import ensure_paired

EXCUSED: Final = frozenset({"jobs.get_job", "recipes.get_recipes", "session.get_session", "session.sign_in"})
"""Endpoints whose own look at Redis brings the ledger's id along, since polls are many; and those without jobs."""

routes = Blueprint("health", __name__)


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Check(BaseModel):
    """One part that the service stands on."""

    ok: bool
    detail: str | None = None


class Ready(BaseModel):
    """All parts answer."""

    status: Literal["ready"] = "ready"
    checks: dict[str, Check]


@routes.get("/healthz")
@operation(Answer(200, "The process is alive.", Alive))
def healthz() -> Response:
    """Say that the process is alive, whatever else is not."""
    return answer(Alive())


@routes.get("/readyz")
@operation(Answer(200, "All parts answer.", Ready), errors=(Unavailable,))
def readyz() -> Response:
    """Say whether jobs can be served: Redis, the blob store, and that they belong together."""
    checks = _checks(here())
    if all(check.ok for check in checks.values()):
        return answer(Ready(checks=checks))
    names = ", ".join(name for name, check in checks.items() if not check.ok)
    raise Unavailable(f"Not ready: {names}.", checks={name: check.model_dump() for name, check in checks.items()})


def require_ledger() -> None:
    """Before every request that touches jobs: this Redis is the one that these blobs belong to.

    Established once, lazily, so that the API starts without them; afterwards one GET notices a Redis that was
    emptied or replaced. Raises LedgerUnavailable, LedgerLost, BlobsUnavailable.
    """
    if request.path.startswith("/v1/") and request.endpoint not in EXCUSED:
        confirm_identity(here(), here().services.ledger.identity())


def confirm_identity(context: Context, found: str | None) -> None:
    """As `require_ledger` says, of the id that was found in Redis."""
    if found is None or found != context.known_identity:
        if not ensure_paired(context.services):
            raise LedgerLost
        context.known_identity = context.services.ledger.identity()


def _checks(context: Context) -> dict[str, Check]:
    """Both parts are asked at once: each may need two seconds to fail."""
    with ThreadPoolExecutor(2) as pool:
        redis = pool.submit(_check, context.services.ledger.identity)
        store = pool.submit(_check, context.services.blobs.check)
        found = {"redis": redis.result(), "store": store.result()}
    if all(check.ok for check in found.values()):
        found["ledger"] = _check(lambda: confirm_identity(context, context.services.ledger.identity()))
    else:
        found["ledger"] = Check(ok=False, detail="Cannot be judged before both answer.")
    return found


def _check(ask: Callable[[], Any]) -> Check:
    try:
        ask()
    except EaselError as error:
        return Check(ok=False, detail=error.detail)
    return Check(ok=True)
