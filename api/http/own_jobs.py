"""The jobs and batches that the caller may see: those of its tenant. Others do not exist for it."""

from collections.abc import Sequence

from flask import g

from api.context import Context, parse_job_id
from shared.errors import BatchNotFound, InvalidJobId, JobNotFound, LedgerLost
from shared.jobs.job import Job
from shared.recovery.job_files import read_batch
from shared.storage import keys


def find_job(job_id: str) -> Job:
    """Return a job of the caller. Raises InvalidJobId; JobNotFound, also for a job of another tenant."""
    job = Context.current().services.ledger.get(parse_job_id(job_id))
    check_owner(job.id, job.tenant)
    return job


def check_owner(job_id: str, tenant: str) -> None:
    """Raise JobNotFound unless the job's tenant is the caller's."""
    if tenant != g.caller.tenant:
        raise JobNotFound.of(job_id)


def find_batch(batch_id: str) -> Sequence[Job]:
    """Return the jobs of a batch of the caller. Raises BatchNotFound, also for a batch of another tenant.

    Raises LedgerLost while records of it are lost: its state, cancel and deletion are those of all its jobs.
    """
    services = Context.current().services
    ledger = services.ledger
    try:
        batch_id = parse_job_id(batch_id)
    except InvalidJobId:
        raise BatchNotFound.of(batch_id) from None
    ids = ledger.batch_ids(batch_id)
    jobs = ledger.get_many(ids)
    if not jobs and ledger.identity() is None:
        raise LedgerLost
    if not jobs or jobs[0].tenant != g.caller.tenant:
        raise BatchNotFound.of(batch_id)
    without_record = set(read_batch(services.blobs, batch_id)) - set(ids)  # deleted, or lost
    if any(services.blobs.exists(keys.request(job_id)) for job_id in without_record):
        raise LedgerLost
    return jobs
