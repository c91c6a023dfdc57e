"""Keeps the ledger and the blob store consistent: old jobs expire, lost records are restored, leftovers are deleted.

Works in small parts, at most one job each, so that the caller can interleave them with other work. Each may be
repeated, run concurrently or be cut short at any point: the next run completes it.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Final, Literal

import structlog

from shared.errors import BlobMissing, JobNotFound, LedgerLost, LedgerUnavailable, StorageUnavailable, WrongState
from shared.inputs.uploaded import has_expired
from shared.jobs.job import JobRequest
from shared.recovery.deletion import delete_batch_files, delete_job, delete_job_files
from shared.recovery.rebuild import restore_job
from shared.services import Services, stored_identity
from shared.storage import Blob, BlobStore, keys

log = structlog.get_logger(__name__)

Effect = Literal["jobs_expired", "deletions_completed", "records_restored", "leftovers_deleted"] | None
"""The effect of one part; None if there was nothing to do."""

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
_MAX_EXPIRED_PER_RUN: Final = 10_000


def collect_garbage(services: Services) -> Iterator[Effect]:
    """Run everything once. Raises LedgerUnavailable, LedgerLost; skips what an unavailable blob store prevents."""
    jobs = expire_jobs(services), repair_jobs(services)
    for part in (*jobs, delete_empty_batches(services), delete_unused_inputs(services.blobs)):
        try:
            yield from part
        except StorageUnavailable as error:
            log.warning("garbage_collection_interrupted", detail=error.detail)


def expire_jobs(services: Services) -> Iterator[Effect]:
    """Delete the jobs that ended more than EASEL_RETENTION_DAYS ago."""
    if days := services.settings.retention_days:
        ids = services.ledger.list_completed_ids(older_than_seconds=days * DAY, limit=_MAX_EXPIRED_PER_RUN)
        for job_id in ids:
            yield _try(services, partial(_delete, services, job_id, "jobs_expired"), job=job_id)


def repair_jobs(services: Services) -> Iterator[Effect]:
    """Make each job's files and record consistent, see `_repair`. Raises LedgerLost during a rebuild."""
    for job_id, blobs in groupby(services.blobs.list("jobs/"), key=lambda blob: blob.key.split("/")[1]):
        yield _try(services, partial(_repair, services, job_id, list(blobs)), job=job_id)


def delete_empty_batches(services: Services) -> Iterator[Effect]:
    """Delete the files of batches none of whose jobs exists any more.

    Recent files are kept: a submission may be in progress.
    """
    listed = services.blobs.list(keys.BATCHES_PREFIX)
    for batch_id, files in groupby(listed, key=lambda blob: blob.key.split("/")[1]):
        recent = max(blob.modified for blob in files) > time.time() - HOUR
        yield None if recent else _try(services, partial(_delete_empty_batch, services, batch_id), batch=batch_id)


def _delete_empty_batch(services: Services, batch_id: str) -> Effect:
    return "leftovers_deleted" if delete_batch_files(services.blobs, batch_id) else None


def delete_unused_inputs(blobs: BlobStore) -> Iterator[Effect]:
    """Delete inputs older than a day that neither a job nor a record of an uploaded image refers to.

    Submissions that failed and deletions leave them. References come from the store, never from Redis, and are read
    after the list of inputs. A job submitted meanwhile writes its inputs again, or found a record that was valid then:
    a record counts for an hour after it expired, and by then the job's request is stored.
    """
    before = time.time() - DAY
    unused = {blob.key for blob in blobs.list("inputs/") if blob.modified < before}
    for blob in blobs.list(keys.IMAGES_PREFIX):
        if blob.modified < before and has_expired(blobs, blob.key, time.time() - HOUR):
            yield _delete_if_old(blobs, blob.key, before)
        else:
            unused.discard(keys.image_of(blob.key))
            yield None
    for blob in blobs.list("jobs/") if unused else ():
        if blob.key.endswith(("/request.json", "/inputs.json")):
            unused -= _referenced_inputs(blobs, blob.key)
            yield None
    for key in sorted(unused):
        yield _delete_if_old(blobs, key, before)


def _delete_if_old(blobs: BlobStore, key: str, before: float) -> Effect:
    """Delete the blob unless it was written again meanwhile."""
    if any(blob.modified >= before for blob in blobs.list(key)):
        return None
    blobs.delete(key)
    return "leftovers_deleted"


def _try(services: Services, action: Callable[[], Effect], **subject: str) -> Effect:
    """Run the action of one job or batch. A failure must not block others; an unavailable service ends the run."""
    try:
        return action()
    except (LedgerUnavailable, LedgerLost):
        raise
    except Exception:
        log.exception("garbage_collection_skipped", **subject)
        services.blobs.check()
        return None


def _repair(services: Services, job_id: str, files: Iterable[Blob]) -> Effect:
    """Restore a job that has a request but no record; complete the deletion of one that has no request.

    Recent files are kept: a submission may be in progress, or a worker that lost its claim may still be writing.
    """
    ages = {blob.key: time.time() - blob.modified for blob in files}
    request_age = ages.get(keys.request(job_id))
    has_record = services.ledger.exists(job_id)
    if request_age is not None and (has_record or request_age < HOUR):
        return None
    if not _is_paired(services):
        raise LedgerLost
    if request_age is not None:
        if len(ages) == 1 and _was_abandoned(services, job_id):
            return "leftovers_deleted" if delete_job_files(services.blobs, job_id) else None
        return "records_restored" if restore_job(services, job_id) else None
    if services.blobs.exists(keys.request(job_id)):  # a listing may lag behind
        return None
    if has_record:
        return _delete(services, job_id, "deletions_completed")
    return "leftovers_deleted" if min(ages.values()) > DAY and delete_job_files(services.blobs, job_id) else None


def _was_abandoned(services: Services, job_id: str) -> bool:
    """Return whether the client got no response for this request, and sent it again under the same key.

    Or whether it is part of a batch whose submission ended before all its requests were stored.
    """
    request = JobRequest.model_validate_json(services.blobs.get(keys.request(job_id)))
    if request.batch and not services.blobs.exists(keys.batch(request.batch)):
        return True
    if not request.idempotency_key:
        return False
    accepted = services.ledger.find_by_idempotency_key(request.idempotency_key, request.tenant)
    return accepted is not None and accepted[0] == request.digest and accepted[1] != (request.batch or job_id)


def _delete(services: Services, job_id: str, effect: Effect) -> Effect:
    try:
        delete_job(services, job_id)
    except (JobNotFound, WrongState):  # deleted concurrently; or not ended, and then its record keeps it alive
        return None
    return effect


def _is_paired(services: Services) -> bool:
    """Return whether this Redis is the ledger of these blobs, with its data."""
    identity = stored_identity(services.blobs)
    return identity is not None and services.ledger.identity() == identity


def _referenced_inputs(blobs: BlobStore, request_key: str) -> set[str]:
    """Return the inputs that any word of a request names, so that one this version cannot read keeps its inputs."""
    try:
        words = re.findall(rb"\w+", blobs.get(request_key))
    except BlobMissing:
        return set()
    return {keys.input_image(word.decode()) for word in words}
