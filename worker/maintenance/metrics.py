"""The metrics of the reaper: its rounds, and the webhooks that it sends."""

import time
from typing import Final

from shared.metrics import jobs
from shared.metrics.instruments import Counter, Gauge

LAST_ROUND: Final = Gauge(
    "easel_reaper_last_round_timestamp_seconds",
    "When the last round without an error ended, in seconds since the epoch. `round` is `recovery` (leases and "
    "wake-ups) or `maintenance` (final states, garbage collection, rebuilding).",
    ("round",),
)
FAILED_ROUNDS: Final = Counter(
    "easel_reaper_failed_rounds_total",
    "Rounds that ended with an error. The `round`s `webhooks` and `assets` are the webhook sender and the fetching of "
    "images, which start again.",
    ("round",),
)
WEBHOOK_ATTEMPTS: Final = Counter(
    "easel_webhook_attempts_total",
    "Requests to receivers of webhooks. `outcome` is `delivered` or `failed`.",
    ("outcome",),
)
WEBHOOK_DEAD_LETTERS: Final = Counter(
    "easel_webhook_dead_letters_total",
    "Webhook events given up: after the last attempt, or because the receiver responded 410 Gone.",
)

ROUNDS: Final = ("recovery", "maintenance")


def show_zeros() -> None:
    """Export 0 for what the alerts and the dashboard watch, before it happens for the first time."""
    jobs.LEASES_LOST.show_zero(reason="expired")
    for name in (*ROUNDS, "webhooks", "assets"):
        FAILED_ROUNDS.show_zero(round=name)
    for outcome in ("delivered", "failed"):
        WEBHOOK_ATTEMPTS.show_zero(outcome=outcome)


def record_round(name: str, *, failed: bool) -> None:
    """Record that a round has ended."""
    if failed:
        FAILED_ROUNDS.inc(round=name)
    elif name in ROUNDS:
        LAST_ROUND.set(time.time(), round=name)


def record_attempt(*, delivered: bool, dead: bool) -> None:
    """Count an attempt to deliver an event; `dead` if there will be no other."""
    WEBHOOK_ATTEMPTS.inc(outcome="delivered" if delivered else "failed")
    if dead:
        WEBHOOK_DEAD_LETTERS.inc()
