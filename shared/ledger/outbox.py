"""What is still to be told to the jobs' webhooks, and how the tries went.

The scripts that change a job's state add events here (`post` in shared/ledger/scripts/common.lua), in the same script:
no event is lost, and none reports what did not happen. Senders
take them out under a lease, so that two never send the same event at once, and another sender retries what a dead one
had taken.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict

from shared.redis_client import NAMESPACE, script, translated

_STEP_BACK_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Letter:
    """An event in hand."""

    id: str  # the same at every try: receivers know by it what they have had
    receiver: str  # host and port as the address has them
    attempt: int  # 1 at the first try
    token: str

    @property
    def job_id(self) -> str:
        """Whose event it is."""
        return self.id.rpartition("-")[0]

    @property
    def event(self) -> str:
        """One of shared.jobs.job.EVENTS."""
        return "job." + self.id.rpartition("-")[2]


class Delivery(BaseModel):
    """One try."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    event: str
    attempt: int
    at: float
    status: int | None = None  # that the receiver answered
    error: str | None = None  # for a person
    next_attempt_at: float | None = None
    delivered: bool = False


class Outbox:
    """Safe to share between threads; open a new one after a fork."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says
        self._take, self._settle = (client.register_script(script(act)) for act in ("take", "settle"))

    def take(self, *, lease_seconds: float, busy: Iterable[str] = ()) -> Letter | None:
        """The event that is to be sent next; None where none is due but for receivers that are `busy`."""
        token = secrets.token_hex(8)
        with translated():
            found: Any = self._take(keys=[NAMESPACE], args=[token, lease_seconds, _STEP_BACK_SECONDS, *busy])
        return Letter(found[0], found[1], int(found[2]), token) if found else None

    def settle(self, letter: Letter, delivery: Delivery, *, pause: float | None, gone: bool = False) -> bool:
        """Log the try, and try again after `pause` seconds, None for never; `gone` turns the job's webhook off.

        False where another has taken the event meanwhile, or its job was deleted: then nothing is written.
        """
        ending = ["" if pause is None else pause, "gone" if gone else ""]
        with translated():
            args = [letter.id, letter.token, delivery.model_dump_json(), *ending]
            return bool(self._settle(keys=[NAMESPACE], args=args))

    def deliveries(self, job_id: str) -> list[Delivery]:
        """All tries for this job, oldest first."""
        with translated():
            found = self._redis.lrange(f"{NAMESPACE}:deliveries:{job_id}", 0, -1)
        return [Delivery.model_validate_json(line) for line in found]
