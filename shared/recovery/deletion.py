"""Deletion of jobs, in an order that a crash at any point leaves completable."""

from collections.abc import Sequence
from contextlib import suppress

from easel.models import TERMINAL
from shared.errors import JobNotFound, LedgerLost, WrongState
from shared.jobs.job import DEFAULT_TENANT
from shared.parallel import for_each
from shared.recovery.job_files import finalize, read_batch, read_json
from shared.services import Services
from shared.storage import Blob, BlobStore, keys


def delete_job(services: Services, job_id: str, *, tenant: str | None = None, of_batch: bool = False) -> None:
    """Delete an ended job and its files. Raises JobNotFound and WrongState, with nothing changed.

    With `tenant`, jobs of others do not exist. The contact sheets `of_batch`, which is deleted as a whole, are left.

    Deletes the request first, since only a job with a request can be rebuilt; then the record, which names the other
    files; then those. Garbage collection completes a deletion that a crash cut short
    (worker/maintenance/garbage_collection.py).
    """
    ledger, blobs = services.ledger, services.blobs
    if tenant not in {None, _tenant(services, job_id)}:
        raise JobNotFound.of(job_id)
    try:
        if not blobs.exists(keys.final(job_id)):  # without it, a loss of Redis from here on would bring the job back
            finalize(ledger, blobs, job_id)
        job = ledger.get(job_id)
    except JobNotFound:
        # With a request, the record was lost: the job is to be rebuilt, not deleted.
        if blobs.exists(keys.request(job_id)) or not delete_job_files(blobs, job_id):
            raise
        return
    if job.state not in TERMINAL:
        raise WrongState("The job has not ended; cancel it first.")
    batch = None if of_batch else job.request.batch
    _delete_contact_sheets(blobs, batch)  # which show the result
    blobs.delete(keys.request(job_id))
    with suppress(JobNotFound):  # deleted concurrently
        ledger.delete(job_id)
    _delete_contact_sheets(blobs, batch)  # one that was made meanwhile
    files = delete_job_files(blobs, job_id)
    services.stored_bytes.add(job.tenant, -sum(blob.size for blob in files))


def delete_batch(services: Services, batch_id: str, job_ids: Sequence[str]) -> None:
    """Delete a batch with its jobs, which must have ended. Raises WrongState, with nothing changed.

    May be repeated after a crash, as long as there are jobs. Garbage collection deletes the files of one without jobs.
    Raises LedgerLost if the records of other jobs of the batch were lost: they are to be rebuilt, not deleted.
    """
    if any(job.state not in TERMINAL for job in services.ledger.get_many(job_ids)):
        raise WrongState("Some jobs of the batch have not ended; cancel it first.")

    def delete(job_id: str) -> None:
        with suppress(JobNotFound):  # deleted concurrently, or its record was lost just now
            delete_job(services, job_id, of_batch=True)

    _delete_contact_sheets(services.blobs, batch_id)
    for_each(job_ids, delete)
    if not delete_batch_files(services.blobs, batch_id):
        raise LedgerLost


def _delete_contact_sheets(blobs: BlobStore, batch_id: str | None) -> None:
    """Delete the sheets of a job's batch, if it has one; another is made when it is asked for."""
    for blob in list(blobs.list(keys.contact_sheets_prefix(batch_id))) if batch_id else ():
        blobs.delete(blob.key)


def delete_batch_files(blobs: BlobStore, batch_id: str) -> bool:
    """Delete what a batch stores besides its jobs, unless one of them exists: has a request, whatever Redis has."""
    if any(blobs.exists(keys.request(job_id)) for job_id in read_batch(blobs, batch_id)):
        return False
    for blob in list(blobs.list(keys.batch_prefix(batch_id))):
        blobs.delete(blob.key)
    return True


def _tenant(services: Services, job_id: str) -> str:
    """Return the job's tenant, also of a job without a record, whose deletion was cut short."""
    try:
        return services.ledger.get(job_id).tenant
    except JobNotFound:
        final = read_json(services.blobs, keys.final(job_id)) or {}
        return str(final.get("tenant", DEFAULT_TENANT))


def delete_job_files(blobs: BlobStore, job_id: str) -> Sequence[Blob]:
    """Delete all files of a job whose request and record are gone; return them."""
    files = list(blobs.list(keys.job_prefix(job_id)))
    files.sort(key=lambda blob: blob.key == keys.final(job_id))  # the last one, since it says whose job it was
    for blob in files:
        blobs.delete(blob.key)
    return files
