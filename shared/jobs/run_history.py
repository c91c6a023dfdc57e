"""Timings of the most recent runs, the basis of every time estimate. Losing them is harmless."""

from functools import lru_cache
from typing import Any, Final

import redis
from pydantic import BaseModel, ConfigDict, Field

from shared.redis_client import NAMESPACE, translate_errors

MAX_RECORDS: Final = 200
_KEY: Final = f"{NAMESPACE}:run_history"


class RunRecord(BaseModel):
    """Timing of a claim under which a job ended, measured by its worker. Times are in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    algorithm: str = Field(description="As `shared.jobs.estimate.algorithm` names it.")
    pixels: float = Field(gt=0, description="Pixels per evaluation, the mean over the job.")
    pixels_per_second: float = Field(gt=0, description="Speed in the loop, without the first step of each stage.")
    start_seconds: float = Field(description="From the claim to the first step, plus the start of later stages.")
    end_seconds: float = Field(description="From the last step to the end of the job.")
    fraction: float = Field(description="Share of the job's arithmetic that was done: below 1 if it ended early.")
    drift: float | None = Field(description="log(speed in the second half / speed in the first half); None if unknown.")


class RunHistory:
    """A Redis list of at most MAX_RECORDS records, newest first."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says

    def add(self, record: RunRecord) -> None:
        """Add a record and drop the oldest. Raises LedgerUnavailable."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.lpush(_KEY, record.model_dump_json())
        pipe.ltrim(_KEY, 0, MAX_RECORDS - 1)
        with translate_errors():
            pipe.execute()

    def recent(self) -> tuple[RunRecord, ...]:
        """Return all records, newest first. Raises LedgerUnavailable."""
        with translate_errors():
            lines = self._redis.lrange(_KEY, 0, MAX_RECORDS - 1)
        return tuple(record for line in lines if (record := _parse_or_none(line)))


@lru_cache(maxsize=2 * MAX_RECORDS)
def _parse_or_none(line: str) -> RunRecord | None:
    """None for a record that this version cannot read."""
    try:
        return RunRecord.model_validate_json(line)
    except ValueError:
        return None
