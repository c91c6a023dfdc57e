"""What keeps the ledger and the blob store in step: old jobs expire, lost records return, leftovers go.

All of it goes by small steps, one job each, so that whoever has other duties can do a few now and a few later.
Every step may be repeated, done by many at once, or cut short anywhere: the next run completes it.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Final, Literal

import structlog

from shared.errors import BlobMissing, BlobsUnavailable, JobNotFound, LedgerLost, LedgerUnavailable, WrongState
from shared.jobs.job import Request
from shared.recovery.job_files import brought_back, discard, forget
from shared.services import Services, stored_identity
from shared.storage import Blob, BlobStore, keys

log = structlog.get_logger(__name__)

Step = Literal["expired", "forgotten", "restored", "swept"] | None
"""What one step did; None where all was well."""

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
_EXPIRED_A_RUN: Final = 10_000


def upkeep(services: Services) -> Iterator[Step]:
    """One run of everything. Raises LedgerUnavailable, LedgerLost; where the blobs are away it ends early."""
    for part in (expire(services), audit(services), sweep(services.blobs)):
        try:
            yield from part
        except BlobsUnavailable as error:
            log.warning("upkeep_cut_short", detail=error.detail)


def expire(services: Services) -> Iterator[Step]:
    """Forget the jobs that ended longer than EASEL_RETENTION_DAYS ago."""
    if days := services.settings.retention_days:
        for job_id in services.ledger.expired(older_than_seconds=days * DAY, limit=_EXPIRED_A_RUN):
            yield _survived(services, job_id, partial(_forgotten, services, job_id, "expired"))


def audit(services: Services) -> Iterator[Step]:
    """Bring each job's folder and its record together: see `_put_right`. Not while Redis is being rebuilt."""
    for job_id, blobs in groupby(services.blobs.list("jobs/"), key=lambda blob: blob.key.split("/")[1]):
        yield _survived(services, job_id, partial(_put_right, services, job_id, list(blobs)))


def sweep(blobs: BlobStore) -> Iterator[Step]:
    """Delete inputs that no job refers to and that are no longer young.

    A submission cut short leaves such inputs, and a deletion does. The references come from the requests, never
    from Redis, and are read after the list of inputs: a job that comes meanwhile writes its inputs anew.
    """
    before = time.time() - DAY
    unused = {blob.key for blob in blobs.list("inputs/") if blob.modified < before}
    for blob in blobs.list("jobs/") if unused else ():
        if blob.key.endswith("/request.json"):
            unused -= _inputs(blobs, blob.key)
            yield None
    for key in sorted(unused):
        if all(blob.modified < before for blob in blobs.list(key)):
            blobs.delete(key)
            yield "swept"


def _survived(services: Services, job_id: str, step: Callable[[], Step]) -> Step:
    """One job in trouble must not keep the others waiting; a whole ledger or store in trouble ends the run."""
    try:
        return step()
    except (LedgerUnavailable, LedgerLost):
        raise
    except Exception:
        log.exception("job_passed_over", job=job_id)
        services.blobs.check()
        return None


def _put_right(services: Services, job_id: str, folder: Iterable[Blob]) -> Step:
    """A request without a record is a job that was lost; a folder without a request, a deletion cut short.

    The young are left alone: their submission may be under way, or a worker that lost its claim still writing.
    """
    ages = {blob.key: time.time() - blob.modified for blob in folder}
    asked = ages.get(keys.request(job_id))
    known = services.ledger.exists(job_id)
    if asked is not None and (known or asked < HOUR):
        return None
    if not _together(services):
        raise LedgerLost
    if asked is not None:
        if len(ages) == 1 and _sent_again(services, job_id):
            return "swept" if discard(services.blobs, job_id) else None
        return "restored" if brought_back(services, job_id) else None
    if services.blobs.exists(keys.request(job_id)):  # a listing may lag behind
        return None
    if known:
        return _forgotten(services, job_id, "forgotten")
    return "swept" if min(ages.values()) > DAY and discard(services.blobs, job_id) else None


def _sent_again(services: Services, job_id: str) -> bool:
    """Whether the sender got no answer for this request, and then one for the same request under the same key."""
    request = Request.model_validate_json(services.blobs.get(keys.request(job_id)))
    found = services.ledger.remembered(request.idempotency_key) if request.idempotency_key else None
    return found is not None and found[0] == request.digest and found[1] != job_id


def _forgotten(services: Services, job_id: str, told: Step) -> Step:
    try:
        forget(services, job_id)
    except (JobNotFound, WrongState):  # another one was faster; or it has not ended, and lives on by its record
        return None
    return told


def _together(services: Services) -> bool:
    """Whether this Redis is the ledger of these blobs, and remembers."""
    identity = stored_identity(services.blobs)
    return identity is not None and services.ledger.identity() == identity


def _inputs(blobs: BlobStore, request: str) -> set[str]:
    """What a request may refer to: any of its words, so that one which this version cannot read keeps its inputs."""
    try:
        words = re.findall(rb"\w+", blobs.get(request))
    except BlobMissing:
        return set()
    return {keys.input_image(word.decode()) for word in words}
