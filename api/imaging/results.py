"""Where a job's result is, and why it has none."""

from api.http.own_jobs import find_job
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


def read_init_job(services: Services, job_id: str) -> bytes:
    """Return the PNG of the result to start from. Raises InvalidJobId, JobNotFound, NotReady, WrongState."""
    try:
        return services.blobs.get(result_key(find_job(job_id)))
    except errors.BlobMissing as error:
        raise errors.JobNotFound(f"There is no job {job_id}; it was deleted.", field="init_job") from error
    except (errors.InvalidJobId, errors.NotFound, errors.NotReady, errors.WrongState) as error:
        error.extra |= {"field": "init_job"}
        raise
