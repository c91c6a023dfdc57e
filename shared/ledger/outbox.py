"""The outbox: webhook events to be sent, and the log of delivery attempts.

The scripts that change a job's state add events in the same script (`add_to_outbox` in
shared/ledger/scripts/common.lua), so no event is lost and none reports what did not happen. Senders take events under a
lease: two senders never send the same event at the same time, and another one retries the events of a sender that died.
"""

import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict

from shared.redis_client import NAMESPACE, load_script, translate_errors

_POSTPONE_SECONDS: Final = 2.0  # for an event whose receiver is busy


@dataclass(frozen=True)
class OutboxEvent:
    """An event that a sender has taken."""

    id: str  # "<job id>-<kind>", the same at every attempt, so that receivers can drop duplicates
    receiver: str  # host and port as written in the URL
    attempt: int  # 1 for the first
    token: str

    @property
    def job_id(self) -> str:
        """The job that the event is about."""
        return self.id.rpartition("-")[0]

    @property
    def event(self) -> str:
        """One of shared.jobs.job.WEBHOOK_EVENTS."""
        return "job." + self.id.rpartition("-")[2]


class DeliveryRecord(BaseModel):
    """One delivery attempt."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str  # of the event
    event: str
    attempt: int
    at: float  # seconds since the epoch
    status: int | None = None  # HTTP status of the response
    error: str | None = None  # human-readable
    next_attempt_at: float | None = None
    delivered: bool = False


class Outbox:
    """Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says
        self._take_script = client.register_script(load_script("take_outbox_event"))
        self._record_script = client.register_script(load_script("record_delivery"))
        self._postpone_script = client.register_script(load_script("postpone_outbox_event"))

    def take(self, *, lease_seconds: float, busy: Iterable[str] = ()) -> OutboxEvent | None:
        """Take the next due event, except for receivers that are `busy`; None if there is none."""
        token = secrets.token_hex(8)
        with translate_errors():
            reply: Any = self._take_script(keys=[NAMESPACE], args=[token, lease_seconds, _POSTPONE_SECONDS, *busy])
        return OutboxEvent(reply[0], reply[1], int(reply[2]), token) if reply else None

    def record_delivery(
        self, event: OutboxEvent, delivery: DeliveryRecord, *, retry_in: float | None, gone: bool = False
    ) -> bool:
        """Log an attempt, and retry in `retry_in` seconds, or never if None. `gone` disables the job's webhook.

        Returns False, with nothing written, if another sender has taken the event or its job was deleted.
        """
        args = [event.id, event.token, delivery.model_dump_json()]
        args += ["" if retry_in is None else str(retry_in), "gone" if gone else ""]
        with translate_errors():
            return bool(self._record_script(keys=[NAMESPACE], args=args))

    def postpone(self, event: OutboxEvent, seconds: float) -> None:
        """Put an event back that could not be sent for a reason of ours: it is due again later, at the same attempt."""
        with translate_errors():
            self._postpone_script(keys=[NAMESPACE], args=[event.id, event.token, seconds])

    def backlog(self) -> tuple[int, float]:
        """Return the number of events to be delivered, and the seconds for which the oldest due one has waited."""
        with translate_errors():
            count = self._redis.zcard(f"{NAMESPACE}:outbox")
            first = self._redis.zrange(f"{NAMESPACE}:outbox", 0, 0, withscores=True)
            seconds, micros = self._redis.time()
        due_at = float(first[0][1]) if first else math.inf
        return int(count), max(0.0, seconds + micros / 1e6 - due_at)

    def deliveries(self, job_id: str) -> list[DeliveryRecord]:
        """Return all delivery attempts of a job, oldest first."""
        with translate_errors():
            lines = self._redis.lrange(f"{NAMESPACE}:deliveries:{job_id}", 0, -1)
        return [DeliveryRecord.model_validate_json(line) for line in lines]
