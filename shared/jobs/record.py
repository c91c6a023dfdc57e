"""A job's record as Redis has it: a hash of fields, in which models are JSON."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import structlog
from pydantic import BaseModel

from easel.models import JobError, Losses, Progress
from shared.jobs.job import Job, Request

log = structlog.get_logger(__name__)


def newborn(request: Request) -> dict[str, Any]:
    """What a record begins with."""
    return {
        "request": request,
        "progress": Progress(total=request.recipe.steps),
        "peak_memory_bytes": request.peak_memory_bytes,
        "peak_gpu_memory_bytes": request.peak_gpu_memory_bytes,
        **({"webhook_url": hook.url, "webhook_events": " ".join(hook.events)} if (hook := request.webhook) else {}),
    }


def pairs(fields: Mapping[str, Any]) -> list[Any]:
    """Fields and values for HSET; models as JSON, None left out, booleans as 0 and 1."""
    flat: list[Any] = []
    for name, value in fields.items():
        if isinstance(value, BaseModel):
            flat += [name, value.model_dump_json()]
        elif value is not None:
            flat += [name, int(value) if isinstance(value, bool) else value]
    return flat


def readable(fields: Mapping[str, str]) -> Job | None:
    """One record that this version cannot read must not hide the others."""
    try:
        return parse(fields)
    except ValueError:
        log.exception("record_unreadable", job=fields.get("id"))
        return None


def parse(fields: Mapping[str, str]) -> Job:
    """A record as Redis has it. Raises ValueError."""
    return Job.model_validate(
        {name: _READERS[name](value) if name in _READERS else value for name, value in fields.items()}
    )


@lru_cache(maxsize=4096)
def _request(text: str) -> Request:
    """It never changes, and is by far the longest of the fields."""
    return Request.model_validate_json(text)


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "request": _request,
    "progress": Progress.model_validate_json,
    "losses": Losses.model_validate_json,
    "error": JobError.model_validate_json,
}
