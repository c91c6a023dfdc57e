"""What happens to jobs, counted by the process that causes it: API, worker or reaper (shared/ledger/ledger.py)."""

from typing import Final

from easel.models import JobState
from shared.jobs.job import Job, JobRequest
from shared.metrics.instruments import Counter, Histogram
from shared.presets import PRESETS

SUBMITTED: Final = Counter("easel_jobs_submitted_total", "Jobs accepted. Counted by the API.", ("tier", "preset"))
ENDED: Final = Counter(
    "easel_jobs_ended_total",
    "Jobs that ended. `code` is the error code of a failed job, else empty. Counted by the worker that ended the job; "
    "a job that is canceled in the queue, by the API; one whose images cannot be fetched, by the reaper.",
    ("state", "code", "preset"),
)
WAIT_SECONDS: Final = Histogram(
    "easel_job_wait_seconds",
    "Seconds from a job's submission to its first claim. Counted by workers.",
    ("tier",),
    buckets=(1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400),
)
RUN_SECONDS: Final = Histogram(
    "easel_job_run_seconds",
    "Seconds that workers spent on a job that has ended, over all its claims. Counted by workers.",
    ("preset",),
    buckets=(1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14_400),
)
CLAIMS: Final = Counter("easel_claims_total", "Jobs claimed, also again. Counted by workers.", ("tier",))
LEASES_LOST: Final = Counter(
    "easel_leases_lost_total",
    "Claims taken from a worker. `reason` is `child_died`, counted by the worker whose child process ended, or "
    "`expired`, counted by the reaper.",
    ("reason",),
)


def record_submission(request: JobRequest) -> None:
    """Count a new job."""
    SUBMITTED.inc(tier=request.tier, preset=preset_label(request))


def record_claim(job: Job) -> None:
    """Count a claim, and for the first one the time in the queue."""
    CLAIMS.inc(tier=job.request.tier)
    if job.claims == 1 and job.started_at is not None:
        WAIT_SECONDS.observe(max(0.0, job.started_at - job.request.created_at), tier=job.request.tier)


def record_end(job: Job, state: JobState, code: str = "", *, run_seconds: float | None = None) -> None:
    """Count a job that ended, and the time that it ran."""
    preset = preset_label(job.request)
    ENDED.inc(state=str(state), code=code, preset=preset)
    if run_seconds is not None:
        RUN_SECONDS.observe(run_seconds, preset=preset)


def preset_label(request: JobRequest) -> str:
    """Return the preset's name, or `other` for one of another version."""
    return request.recipe.preset if request.recipe.preset in PRESETS else "other"
