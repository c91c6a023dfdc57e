"""The audit log, for operators."""

import re
from typing import Final

import structlog
from flask import Blueprint, Response, g, request
from pydantic import BaseModel, Field

from api.context import Context
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import json_response
from shared.errors import InvalidCursor, LedgerUnavailable
from shared.tenants.audit import Action, AuditEntry, StoredAuditEntry

routes = Blueprint("audit", __name__)
log = structlog.get_logger(__name__)

_CURSOR: Final = re.compile(r"\d{1,18}-\d{1,18}", re.ASCII)


class AuditQuery(Query):
    """Which entries to list."""

    limit: int = Field(default=50, ge=1, le=200, description="Entries on a page.")
    cursor: str | None = Field(default=None, max_length=50, description="`next_cursor` of the previous page.")


class AuditPage(BaseModel):
    """A page of the audit log."""

    entries: list[StoredAuditEntry] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="To get the next page; null on the last one.")


@routes.get("/v1/audit")
@operation(
    ResponseDoc(200, "A page of the audit log.", AuditPage), query=AuditQuery, errors=(InvalidCursor,), scope="admin"
)
def get_audit(query: AuditQuery) -> Response:
    """List who submitted, canceled, finished, shared or deleted jobs and images, or changed keys and secrets.

    Newest first, of all tenants; the last 10,000 entries.
    """
    if query.cursor is not None and not _CURSOR.fullmatch(query.cursor):
        raise InvalidCursor("This cursor is invalid. Start again without one.")
    entries, next_cursor = Context.current().services.audit_log.page(limit=query.limit, before=query.cursor)
    return json_response(AuditPage(entries=entries, next_cursor=next_cursor))


def audit(
    action: Action,
    *,
    job: str | None = None,
    batch: str | None = None,
    image: str | None = None,
    key: str | None = None,
) -> None:
    """Log what the current request did, and add it to the audit log, unless Redis is away: it cannot be undone."""
    entry = AuditEntry(
        action=action,
        caller=g.caller.name,
        tenant=g.caller.tenant,
        address=request.remote_addr,
        request_id=g.request_id,
        job=job,
        batch=batch,
        image=image,
        key=key,
    )
    log.info("audit", **entry.model_dump(exclude={"tenant", "request_id"}, exclude_none=True))
    try:
        Context.current().services.audit_log.add(entry)
    except LedgerUnavailable as error:
        log.warning("audit_entry_not_stored", code=error.code)
