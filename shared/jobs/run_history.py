"""What the last jobs that ended really took: all that is known of how fast the devices are. Losing it is harmless."""

from functools import lru_cache
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict, Field

from shared.redis_client import NAMESPACE, translated

REMEMBERED: Final = 200
"""Jobs; older ones are forgotten."""
_KEY: Final = f"{NAMESPACE}:experience"


class Trial(BaseModel):
    """One claim with which a job ended, as its worker timed it. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    optimizer: str
    pixels: float = Field(gt=0, description="That an evaluation takes in, the mean over the job.")
    pixels_per_second: float = Field(gt=0, description="Evaluated in the loop, but for steps that began a stage.")
    start: float = Field(description="From the claim to the first frame, and what beginning the later stages took.")
    ending: float = Field(description="From the last frame to the job's end.")
    fraction: float = Field(description="Of the job's arithmetic that was done: below 1 it was ended early.")
    drift: float | None = Field(description="Logarithm of the pace after half-way by that before; None where unknown.")


class RunHistory:
    """A list in Redis, the newest first, that never grows beyond REMEMBERED."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its answers as bytes or str whatever decode_responses says

    def remember(self, trial: Trial) -> None:
        """Put it before the others, and forget the oldest. Raises LedgerUnavailable."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(_KEY, trial.model_dump_json())
        pipe.ltrim(_KEY, 0, REMEMBERED - 1)
        with translated():
            pipe.execute()

    def recent(self) -> tuple[Trial, ...]:
        """The newest first. Raises LedgerUnavailable."""
        with translated():
            lines = self._redis.lrange(_KEY, 0, REMEMBERED - 1)
        return tuple(trial for line in lines if (trial := _read(line)))


@lru_cache(maxsize=2 * REMEMBERED)
def _read(line: str) -> Trial | None:
    """None for one that this version cannot read."""
    try:
        return Trial.model_validate_json(line)
    except ValueError:
        return None
