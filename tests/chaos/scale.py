"""Every time-out of the run, in one place: the product's own made short, so that much trouble fits into minutes."""

from typing import Any, Final

LEASE_SECONDS: Final = 4.0  # not less: the Redis client's own time-out of two seconds is not scaled

SCALED: Final[dict[str, float]] = {
    "lease_seconds": LEASE_SECONDS,
    "heartbeat_seconds": 0.2,
    "reaper_seconds": 0.5,
    "hang_seconds": 5.0,
    "slice_seconds": 4.0,
    "checkpoint_seconds": 0.4,
    "preview_seconds": 0.4,
}
"""EASEL_ settings, in seconds; their defaults are 60, 1, 15, 900, 300, 10 and 2."""

TENSORFLOW: Final = {"hang_seconds": 60.0, "slice_seconds": 15.0}
"""The same for the worker that paints: its first step holds a trace, which a busy machine may take long for."""

CHILD_WATCH_SECONDS: Final = 0.3
"""How often Celery's parent looks whether its child lives; 5 s of its own accord."""

ATTEMPTS_LIMIT: Final = 12
"""A worker is killed every second or two here, so three leases lost in a row are no sign of a poisonous job."""

STEP_SECONDS: Final = 0.015  # of the engine that sleeps
QUEUE_LIMIT: Final = 40


def environment(**settings: Any) -> dict[str, str]:
    """EASEL_ variables: the scaled time-outs, and `settings` over them."""
    told = {**SCALED, "attempts_limit": ATTEMPTS_LIMIT, "queue_limit": QUEUE_LIMIT, **settings}
    return {f"EASEL_{name.upper()}": str(value) for name, value in told.items()}
