"""All timeouts of a chaos run: the product's own are shortened, so that many faults fit into minutes."""

from typing import Any, Final

LEASE_SECONDS: Final = 4.0  # not less: the Redis client's timeout of two seconds is not scaled

SCALED_SETTINGS: Final[dict[str, float]] = {
    "lease_seconds": LEASE_SECONDS,
    "heartbeat_seconds": 0.2,
    "reaper_seconds": 0.5,
    "hang_seconds": 5.0,
    "slice_seconds": 4.0,
    "checkpoint_seconds": 0.4,
    "preview_seconds": 0.4,
    "webhook_seconds": 2.0,
    "webhook_backoff_factor": 0.002,
}
"""EASEL_ settings, in seconds but for the last; their defaults are 60, 1, 15, 900, 300, 10, 2, 10 and 1."""

TENSORFLOW_SETTINGS: Final = {"hang_seconds": 60.0, "slice_seconds": 15.0}
"""The same for the worker with TensorFlow: its first step traces, which may take long on a busy machine."""

ATTEMPTS_LIMIT: Final = 12
"""A worker is killed every second or two here, so three lost leases in a row do not mean that the job is harmful."""

STEP_SECONDS: Final = 0.015  # of the sleeping engine
QUEUE_LIMIT: Final = 40


def environment(**settings: Any) -> dict[str, str]:
    """Return EASEL_ variables with the scaled timeouts, overridden by `settings`."""
    values = {**SCALED_SETTINGS, "attempts_limit": ATTEMPTS_LIMIT, "queue_limit": QUEUE_LIMIT, **settings}
    return {f"EASEL_{name.upper()}": str(value) for name, value in values.items()}
