"""The ledger on a real Valkey, and the acts as most tests want them."""

import pytest
import uuid_utils

from shared.job import JobError, JobState, Request, Webhook
from shared.ledger import Claim, Ledger, connect
from shared.overview import Overview
from shared.recipe import PRESETS

EXHAUSTED = JobError(code="attempts_exhausted", detail="gone")
TIERS = ("standard", "batch")


def request(
    tier: str = "standard",
    *,
    digest: str = "d",
    key: str | None = None,
    peak: int = 0,
    gpu_peak: int = 0,
    events: tuple[str, ...] = (),
    url: str = "https://example.com/hook",
) -> Request:
    """With a webhook where it asks for `events`."""
    return Request(
        id=str(uuid_utils.uuid7()),
        tier=tier,
        recipe=PRESETS["fast"],
        content="c",
        styles=("s",),
        created_at=1.0,
        digest=digest,
        idempotency_key=key,
        webhook=Webhook(url=url, events=events) if events else None,
        peak_memory_bytes=peak,
        peak_gpu_memory_bytes=gpu_peak,
    )


@pytest.fixture
def ledger(valkey_url: str) -> Ledger:
    ledger = Ledger(connect(valkey_url))
    ledger.adopt("test")
    return ledger


@pytest.fixture
def overview(valkey_url: str) -> Overview:
    return Overview(connect(valkey_url))


def submit(ledger: Ledger, wanted: Request | None = None, *, limit: int = 100) -> str:
    return ledger.submit(wanted or request(), queue_limit=limit, remember_seconds=60)[0]


def claim(ledger: Ledger, worker: str = "w", lease: float = 60) -> Claim:
    found = ledger.claim(worker, TIERS, lease_seconds=lease)
    assert found is not None
    return found


def reap(ledger: Ledger, limit: int = 3) -> dict[str, JobState]:
    return ledger.reap(attempts_limit=limit, exhausted=EXHAUSTED)
