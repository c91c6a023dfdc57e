"""Jobs of tenants, whose cost is proportional to their steps, and the shares of them that a worker does."""

from functools import cache
from typing import Literal

from easel.models import Progress
from shared.jobs.job import JobRequest
from shared.ledger.ledger import NAMESPACE, Claim, Ledger
from shared.presets import resolve
from shared.recipe import Recipe
from support.fixtures.ledger import claim, request, submit


@cache
def recipe(steps: int) -> Recipe:
    return resolve({"size": 64, "steps": steps, "init": "content"})


def of(tenant: str, steps: int = 10) -> JobRequest:
    """Return a job of a tenant, whose cost is proportional to its steps."""
    return request().model_copy(update={"tenant": tenant, "recipe": recipe(steps), "width": 64, "height": 64})


def submit_all(ledger: Ledger, tenant: str, jobs: int, steps: int = 10) -> list[str]:
    return [submit(ledger, of(tenant, steps), limit=10_000) for _ in range(jobs)]


def claim_tenants(ledger: Ledger, jobs: int) -> list[str]:
    return [claim(ledger).job.tenant for _ in range(jobs)]


def progress(claimed: Claim, fraction: float) -> Progress:
    return Progress(total=claimed.job.request.recipe.total_steps, percentage=round(100 * fraction, 2))


def end_slice(ledger: Ledger, claimed: Claim, fraction: float, place: Literal["head", "tail"] = "tail") -> None:
    """Return a job with a fraction of it done."""
    ledger.release(claimed, place=place, progress=progress(claimed, fraction))


def queued(ledger: Ledger) -> list[str]:
    ids: list[str] = ledger._redis.zrange(f"{NAMESPACE}:queue:standard", 0, -1)
    return ids
