"""Conversion between jobs and their records in Redis: hashes of fields, in which models are JSON."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

import structlog
from pydantic import BaseModel

from easel.models import JobError, Losses, Progress
from shared.jobs.estimate import cost
from shared.jobs.job import Job, JobRequest
from shared.jobs.saved_iterations import SavedIterations

log = structlog.get_logger(__name__)


def initial_fields(request: JobRequest) -> dict[str, Any]:
    """Return the fields of a new record."""
    return {
        "request": request,
        "tenant": request.tenant,
        "batch": request.batch,
        "waiting_for": "inputs" if request.sources else None,
        "progress": Progress(total=request.recipe.total_steps),
        "cost": cost(request.recipe, request.width or 1, request.height or 1),
        "peak_memory_bytes": request.peak_memory_bytes,
        "peak_gpu_memory_bytes": request.peak_gpu_memory_bytes,
        **({"webhook_url": hook.url, "webhook_events": " ".join(hook.events)} if (hook := request.webhook) else {}),
    }


def to_hash_args(fields: Mapping[str, Any]) -> list[Any]:
    """Return fields and values for HSET: models as JSON, booleans as 0 and 1, None left out."""
    args: list[Any] = []
    for name, value in fields.items():
        if isinstance(value, BaseModel):
            args += [name, value.model_dump_json()]
        elif value is not None:
            args += [name, int(value) if isinstance(value, bool) else value]
    return args


def parse_record(fields: Mapping[str, str]) -> Job:
    """Parse a record as read from Redis. Raises ValueError."""
    return Job.model_validate(
        {name: _PARSERS[name](value) if name in _PARSERS else value for name, value in fields.items()}
    )


def parse_or_none(fields: Mapping[str, str]) -> Job | None:
    """Parse a record of a list; None if this version cannot read it, so that it does not hide the others."""
    try:
        return parse_record(fields)
    except ValueError:
        log.exception("record_unreadable", job=fields.get("id"))
        return None


@lru_cache(maxsize=4096)
def _parse_request(text: str) -> JobRequest:
    """Cached because it never changes, and is by far the longest field."""
    return JobRequest.model_validate_json(text)


_PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "request": _parse_request,
    "progress": Progress.model_validate_json,
    "losses": Losses.model_validate_json,
    "error": JobError.model_validate_json,
    "iterations": SavedIterations.model_validate_json,
}
