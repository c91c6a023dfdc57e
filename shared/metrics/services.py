"""Calls of Redis and of the blob store: seconds and errors, as this process saw them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.errors import BlobMissing, EaselError
from shared.metrics.instruments import Counter, Histogram

REDIS_SECONDS: Final = Histogram(
    "easel_redis_call_seconds",
    "Seconds of a call of Redis, without blocking reads.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
REDIS_ERRORS: Final = Counter(
    "easel_redis_errors_total",
    "Calls of Redis that failed. `code` is the error code: `ledger_unavailable`, `ledger_read_only` or `ledger_lost`.",
    ("code",),
)
STORAGE_SECONDS: Final = Histogram(
    "easel_storage_call_seconds",
    "Seconds of a call of the blob store: put, get, exists, delete, check, or list until its end.",
    ("operation",),
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
STORAGE_ERRORS: Final = Counter(
    "easel_storage_errors_total",
    "Calls of the blob store that failed. A blob that does not exist is no failure.",
    ("operation",),
)
STORAGE_BYTES: Final = Counter(
    "easel_storage_bytes_total", "Bytes put into and got from the blob store.", ("operation",)
)

OPERATIONS: Final = ("put", "get", "exists", "delete", "list", "check")
_ERROR_CODES: Final = ("ledger_unavailable", "ledger_read_only", "ledger_lost")

for _code in _ERROR_CODES:
    REDIS_ERRORS.show_zero(code=_code)
for _operation in OPERATIONS:
    STORAGE_ERRORS.show_zero(operation=_operation)


@contextmanager
def measure_redis_call(*, blocking: bool) -> Iterator[None]:
    """Count the errors of the block, and its seconds unless it is `blocking`: then it waits for news."""
    began = time.perf_counter()
    try:
        yield
    except EaselError as error:
        REDIS_ERRORS.inc(code=error.code)
        raise
    finally:
        if not blocking:
            REDIS_SECONDS.observe(time.perf_counter() - began)


@contextmanager
def measure_storage_call(operation: str) -> Iterator[None]:
    """Count the seconds and errors of the block."""
    began = time.perf_counter()
    try:
        yield
    except BlobMissing:
        raise
    except EaselError:
        STORAGE_ERRORS.inc(operation=operation)
        raise
    finally:
        STORAGE_SECONDS.observe(time.perf_counter() - began, operation=operation)
