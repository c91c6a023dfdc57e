"""Fills a ledger with many jobs through its own operations: `submit` and `claim`, and `restore` for jobs that ended.

`restore` is meant for lost records: it writes a whole record with every index together.
"""

import time
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from uuid import UUID

import redis

from easel.models import JobState, Losses, Progress
from shared.jobs.job import JobRequest
from shared.ledger.ledger import NAMESPACE, Claim, Ledger, connect
from shared.ledger.queue_stats import WorkerInfo
from shared.presets import resolve
from shared.services import Services
from shared.storage import keys

RECIPE: Final = resolve({"preset": "default"})
LOSSES: Final = Losses(total=1.6180339, style=0.9, content=0.6, total_variation=0.1180339)
_DAY: Final = 24 * 3600.0
_BATCH: Final = 500
_ENDS: Final = (*[JobState.SUCCEEDED] * 8, JobState.FAILED, JobState.CANCELED)


class _Bulk(Ledger):
    """A ledger that sends its operations in pipelines."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self._pipe: Any = client.pipeline(transaction=False)

    def _run(self, script: str, *args: Any) -> Any:
        self._scripts[script](keys=[NAMESPACE], args=args, client=self._pipe)
        if len(self._pipe) >= _BATCH:
            self.flush()
        return "sent", ""

    def flush(self) -> None:
        """Send everything. Raises the first error."""
        self._pipe.execute()


@dataclass
class LedgerFiller:
    """Adds the same random jobs in every run, and counts them."""

    services: Services
    random: Random
    total: int = 0

    @classmethod
    def for_services(cls, services: Services) -> "LedgerFiller":
        """Return a filler for an empty ledger, in which it registers eight workers that do not exist."""
        tomorrow = time.time() + _DAY
        for number in range(8):
            info = WorkerInfo(
                name=f"w{number}",
                device="cpu:2",
                weights="path 0",
                tiers=services.settings.tiers,
                pixels_per_second=1e5,
                seen_at=tomorrow,
            )
            services.queue_stats.register_worker(info)
        return cls(services, Random(0))  # noqa: S311 - the same jobs in every run

    def add_live_jobs(self, *, running: int, waiting: int) -> list[Claim]:
        """Add jobs of the last hour, and return the claims of the running ones."""
        bulk, now = _Bulk(connect(self.services.settings.redis_url)), time.time()
        for number in range(running + waiting):
            bulk.submit(self._request(now - 3600 + number), queue_limit=10**9, remember_seconds=1)
        bulk.flush()
        self.total += running + waiting
        return [self._claim_one() for _ in range(running)]

    def add_ended_jobs(self, jobs: int) -> None:
        """Add jobs of the last month that have ended."""
        bulk, now = _Bulk(connect(self.services.settings.redis_url)), time.time()
        for number in range(jobs):
            request = self._request(now - _DAY - 29 * _DAY * self.random.random())
            bulk.restore(request, _ENDS[number % len(_ENDS)], **_outcome(request))
        bulk.flush()
        self.total += jobs

    def ids(self) -> list[str]:
        """Return the ids of all jobs, the oldest first."""
        client: Any = connect(self.services.settings.redis_url)
        ids: list[str] = client.zrange(f"{NAMESPACE}:jobs", 0, -1)
        return ids

    def _claim_one(self) -> Claim:
        claim = self.services.ledger.claim("w0", self.services.settings.tiers, lease_seconds=_DAY)
        assert claim is not None
        step = self.random.randrange(1, RECIPE.total_steps)
        self.services.ledger.renew(claim, lease_seconds=_DAY, event=("progress", {"step": step}), **_progress(step))
        return claim

    def _request(self, at: float) -> JobRequest:
        return JobRequest(
            id=_uuid7(at, self.random),
            tier=self.services.settings.default_tier,
            recipe=RECIPE,
            content="0" * 64,
            styles=("1" * 64,),
            width=1600,
            height=1200,
            created_at=at,
            digest="2" * 64,
        )


def _progress(step: int) -> dict[str, Any]:
    percentage = round(100 * step / RECIPE.total_steps, 2)
    progress = Progress(phase="512 px", current=step, total=RECIPE.total_steps, percentage=percentage)
    return {"progress": progress, "losses": LOSSES, "steps_per_second": 1.5, "run_seconds": step / 1.5}


def _outcome(request: JobRequest) -> dict[str, Any]:
    token, began = "0123456789abcdef", request.created_at + 60
    return {
        **_progress(RECIPE.total_steps),
        "claims": 1,
        "started_at": began,
        "completed_at": began + 300,
        "preview": keys.preview(request.id, token, RECIPE.total_steps),
        "result": keys.result(request.id, token),
    }


def _uuid7(at: float, random: Random) -> str:
    """Return a UUIDv7 (RFC 9562) for the time `at`."""
    return str(
        UUID(int=int(at * 1000) << 80 | 7 << 76 | random.getrandbits(12) << 64 | 2 << 62 | random.getrandbits(62))
    )
