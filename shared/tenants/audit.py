"""The audit log: who changed which job, image or key, and when. A stream in Redis with the newest entries."""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import redis
from pydantic import BaseModel, Field

from shared.redis_client import NAMESPACE, translate_errors

Action = Literal[
    "job.submitted",
    "job.canceled",
    "job.finished",
    "job.shared",
    "job.deleted",
    "batch.submitted",
    "batch.canceled",
    "batch.deleted",
    "image.deleted",
    "key.created",
    "key.revoked",
    "webhook_secret.rotated",
]
MAX_ENTRIES: Final = 10_000
_STREAM: Final = f"{NAMESPACE}:audit"


class AuditEntry(BaseModel):
    """One action that succeeded."""

    action: Action = Field(description="What was done.")
    caller: str = Field(
        description="`key PREFIX`; `EASEL_API_KEYS NUMBER`; `address ADDRESS`, if the service has no keys; or "
        "`easel-worker`."
    )
    tenant: str | None = Field(
        default=None,
        description="The caller's. For `easel-worker` the one whose secret of webhooks it rotated, else null.",
    )
    address: str | None = Field(default=None, description="The client's, or that of the last proxy before the service.")
    request_id: str | None = Field(
        default=None, description="The request's ID, as in the log; null for `easel-worker`."
    )
    job: str | None = Field(default=None, description="The ID of the job.")
    batch: str | None = Field(default=None, description="The ID of the batch, with all its jobs.")
    image: str | None = Field(default=None, description="The ID of the uploaded image.")
    key: str | None = Field(default=None, description="The prefix of the key that was created or revoked.")


class StoredAuditEntry(AuditEntry):
    """An entry as stored."""

    at: datetime = Field(description="When it was done.")


class AuditLog:
    """Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def add(self, entry: AuditEntry) -> None:
        """Store an entry. Raises LedgerUnavailable."""
        fields = entry.model_dump(exclude_none=True)
        with translate_errors():
            self._redis.xadd(_STREAM, fields, maxlen=MAX_ENTRIES, approximate=True)

    def page(self, *, limit: int, before: str | None = None) -> tuple[list[StoredAuditEntry], str | None]:
        """Return up to `limit` entries, newest first, and what `before` must be for the next ones, if there are more.

        Raises LedgerUnavailable.
        """
        with translate_errors():
            stored = self._redis.xrevrange(_STREAM, max=f"({before}" if before else "+", count=limit + 1)
        entries = [StoredAuditEntry.model_validate(fields | {"at": _time(entry_id)}) for entry_id, fields in stored]
        return entries[:limit], stored[limit - 1][0] if len(stored) > limit else None


def _time(entry_id: str) -> datetime:
    return datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
