"""Where a job's result is, and why it has none."""

from api.context import parse_job_id
from easel.models import TERMINAL, JobState
from shared import errors
from shared.jobs.job import Job
from shared.services import Services


def result_key(job: Job) -> str:
    """Return the key of a job's result. Raises NotReady, WrongState."""
    if job.result is not None:
        return job.result
    if job.state in TERMINAL:
        outcome = "was canceled" if job.state is JobState.CANCELED else "failed"
        raise errors.WrongState(f"The job {outcome} and has no result. Its preview may show how far it got.")
    raise errors.NotReady("The result is not ready. Wait for the job to end, or finish it early.")


def read_result(services: Services, job_id: str) -> bytes:
    """Return the PNG of a job's result. Raises InvalidJobId, JobNotFound, NotReady, WrongState."""
    job = services.ledger.get(parse_job_id(job_id))
    try:
        return services.blobs.get(result_key(job))
    except errors.BlobMissing as error:  # deleted since
        raise errors.JobNotFound(f"There is no job {job.id}; it was deleted.") from error
