"""The jobs that the caller may see: those of its tenant. Others do not exist for it."""

from flask import g

from api.context import Context, parse_job_id
from shared.errors import JobNotFound
from shared.jobs.job import Job


def find_job(job_id: str) -> Job:
    """Return a job of the caller. Raises InvalidJobId; JobNotFound, also for a job of another tenant."""
    job = Context.current().services.ledger.get(parse_job_id(job_id))
    check_owner(job.id, job.tenant)
    return job


def check_owner(job_id: str, tenant: str) -> None:
    """Raise JobNotFound unless the job's tenant is the caller's."""
    if tenant != g.caller.tenant:
        raise JobNotFound.of(job_id)
