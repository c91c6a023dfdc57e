"""Liveness and readiness, and the check that Redis and the blob store belong together."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Literal

from flask import Blueprint, Response, request
from pydantic import BaseModel, Field

from api.context import Context
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from shared.errors import EaselError, LedgerLost, Unavailable
from shared.services import ensure_paired

_UNCHECKED_ENDPOINTS: Final = frozenset(
    {
        *("jobs.get_job", "recipes.get_recipes", "session.get_session", "session.sign_in"),
        *("keys.get_keys", "keys.post_key", "keys.delete_key"),
    }
)
"""`get_job` is the most frequent request and reads the ledger's id together with the job; the others use no jobs."""

_STORE_SECONDS: Final = 5.0

routes = Blueprint("health", __name__)


class Alive(BaseModel):
    """The process responds."""

    status: Literal["ok"] = Field(default="ok", description="Always the same.")


class Check(BaseModel):
    """The result of one check."""

    ok: bool = Field(description="Whether it passed.")
    detail: str | None = Field(default=None, description="Why it did not pass, or null.")


class Ready(BaseModel):
    """All checks passed."""

    status: Literal["ready"] = Field(default="ready", description="Always the same.")
    checks: dict[str, Check] = Field(description="By name: `redis`, `store` and `ledger`.")


@routes.get("/healthz")
@operation(ResponseDoc(200, "The process is alive.", Alive))
def healthz() -> Response:
    """Check liveness: the process responds, whether or not Redis and the blob store do."""
    return json_response(Alive())


@routes.get("/readyz")
@operation(ResponseDoc(200, "All checks passed.", Ready), errors=(Unavailable,))
def readyz() -> Response:
    """Check readiness: Redis and the blob store respond and belong together."""
    checks = _run_checks(Context.current())
    failed = ", ".join(name for name, check in checks.items() if not check.ok)
    if failed:
        raise Unavailable(f"Not ready: {failed}.", checks={name: check.model_dump() for name, check in checks.items()})
    return json_response(Ready(checks=checks))


def require_ledger() -> None:
    """Check, before each request for jobs, that Redis holds the ledger that belongs to the blob store.

    Pairs them at the first request, so that the API starts without them. Later, one GET detects that Redis was
    emptied or replaced. Requests that may write to the blob store check it, too, every few seconds. Raises
    LedgerUnavailable, LedgerLost, StorageUnavailable.
    """
    if request.path.startswith("/v1/") and request.endpoint and request.endpoint not in _UNCHECKED_ENDPOINTS:
        context = Context.current()
        confirm_ledger(context, context.services.ledger.identity())
        if request.method == "POST":
            confirm_store(context, seconds=_STORE_SECONDS)


def confirm_store(context: Context, *, seconds: float = 0) -> None:
    """Check that the blob store is still the one of this ledger, unless that was done within `seconds`.

    A folder whose disk is not mounted can be written to, but has no identity. Raises as `require_ledger`.
    """
    if time.monotonic() - context.store_confirmed_at < seconds:
        return
    context.store_confirmed_at = float("-inf")
    if not ensure_paired(context.services):
        raise LedgerLost
    context.store_confirmed_at = time.monotonic()


def confirm_ledger(context: Context, ledger_id: str | None) -> None:
    """Check the ledger's id that was read from Redis. Raises as `require_ledger`."""
    if ledger_id is None or ledger_id != context.confirmed_ledger_id:
        if not ensure_paired(context.services):
            raise LedgerLost
        context.confirmed_ledger_id = context.services.ledger.identity()


def _run_checks(context: Context) -> dict[str, Check]:
    """Run the checks; Redis and the blob store at the same time, as each may take two seconds to fail."""
    services = context.services
    with ThreadPoolExecutor(2) as pool:
        redis = pool.submit(_check, services.ledger.identity)
        store = pool.submit(_check, services.blobs.check)
        checks = {"redis": redis.result(), "store": store.result()}
    if all(check.ok for check in checks.values()):
        checks["ledger"] = _check(lambda: confirm_store(context))
    else:
        checks["ledger"] = Check(ok=False, detail="Not checked: Redis and the blob store must respond first.")
    return checks


def _check(act: Callable[[], Any]) -> Check:
    try:
        act()
    except EaselError as error:
        return Check(ok=False, detail=error.detail)
    return Check(ok=True)
