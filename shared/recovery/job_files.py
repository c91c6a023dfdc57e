"""The blob store's account of a job, which survives the loss of Redis: request, wishes and end; and its removal.

Redis is the live ledger, the blob store the truth (ARCHITECTURE.md, "When Redis is lost").
"""

import json
import time
from contextlib import suppress
from functools import partial
from typing import Any, Literal

import structlog

from easel.models import TERMINAL, JobState
from shared.errors import BlobMissing, JobNotFound, LedgerLost, WrongState
from shared.jobs.job import Job, Request
from shared.ledger.ledger import Ledger
from shared.services import Services, stored_identity
from shared.storage import BlobStore, keys

log = structlog.get_logger(__name__)

_JSON = "application/json"


def write_request(blobs: BlobStore, request: Request) -> None:
    """Before the record: from here on the job can be rebuilt."""
    blobs.put(keys.request(request.id), request.model_dump_json().encode(), content_type=_JSON)


def write_wish(blobs: BlobStore, job_id: str, wish: Literal["cancel", "finish"]) -> None:
    """Before the flag. A cancel is never weakened to a finish."""
    earlier = _read(blobs, keys.requested(job_id)) or {}
    body = {"wish": "cancel" if earlier.get("wish") == "cancel" else wish, "at": time.time()}
    blobs.put(keys.requested(job_id), json.dumps(body).encode(), content_type=_JSON)


def take_back_wish(ledger: Ledger, blobs: BlobStore, job_id: str) -> None:
    """Of a wish that came too late or too early; not where another one like it was heard. Raises JobNotFound."""
    if ledger.get(job_id).state is not JobState.CANCELED:
        blobs.delete(keys.requested(job_id))


def write_verdict(blobs: BlobStore, job: Job, token: str) -> None:
    """Before the transition: `job` is the record as its holder is about to end it.

    Were Redis lost before `seal`, nobody could tell an end that clients saw from one that never came.
    """
    body = job.model_dump_json(exclude={"request"}).encode()
    blobs.put(keys.verdict(job.id, job.epoch, token), body, content_type=_JSON)


def write_parting(blobs: BlobStore, job_id: str, token: str, checkpoint: str) -> None:
    """For the next holder, from one that had to leave while the record could not be written."""
    blobs.put(keys.parting(job_id, token), json.dumps({"checkpoint": checkpoint}).encode(), content_type=_JSON)


def read_parting(blobs: BlobStore, job_id: str, token: str) -> str | None:
    """The key of the checkpoint that the holder of this claim left, if it had to leave so."""
    note = _read(blobs, keys.parting(job_id, token))
    return str(note["checkpoint"]) if note else None


def seal(ledger: Ledger, blobs: BlobStore, job_id: str) -> None:
    """Write down how the job ended, and let its checkpoints go: they are by far its largest blobs.

    Whoever ended it does so; the reaper makes up for who could not. Raises JobNotFound, Unavailable.
    """
    job = ledger.get(job_id)
    if job.state not in TERMINAL:
        return
    blobs.put(keys.final(job_id), job.model_dump_json(exclude={"request"}).encode(), content_type=_JSON)
    unseen = [keys.results(job_id)] if job.result is None else []
    for prefix in (keys.checkpoints(job_id), keys.claims(job_id), *unseen):
        for blob in list(blobs.list(prefix)):
            blobs.delete(blob.key)
    ledger.sealed(job_id)


def forget(services: Services, job_id: str) -> None:
    """Remove a job that has ended, and all that is kept of it. Raises JobNotFound and WrongState, with nothing touched.

    The request goes first, without which nothing brings the job back; then the record, which names the rest; then
    the rest. What a crash leaves of it the upkeep completes (worker/maintenance/garbage_collection.py).
    """
    ledger, blobs = services.ledger, services.blobs
    try:
        if not blobs.exists(keys.final(job_id)):  # else it would come back unfinished, were Redis lost from here on
            seal(ledger, blobs, job_id)
        job = ledger.get(job_id)
    except JobNotFound:
        if blobs.exists(keys.request(job_id)) or not discard(blobs, job_id):  # where it exists, the record was lost
            raise
        return
    if job.state not in TERMINAL:
        raise WrongState("The job has not ended; cancel it first.")
    blobs.delete(keys.request(job_id))
    with suppress(JobNotFound):  # somebody else was as fast
        ledger.delete(job_id)
    discard(blobs, job_id)


def discard(blobs: BlobStore, job_id: str) -> bool:
    """Delete whatever is left of a job whose request and record have gone; whether there was anything."""
    left = [blob.key for blob in blobs.list(keys.everything(job_id))]
    for key in left:
        blobs.delete(key)
    return bool(left)


def reconcile(services: Services) -> int:
    """Rebuild every record that Redis lost, then declare it the ledger again, unless it lost them again; how many.

    Records that stand are left alone, so it may be run at any time and by many at once.
    """
    identity = stored_identity(services.blobs)
    witness = services.ledger.begin_rebuilding()
    names = (blob.key for blob in services.blobs.list("jobs/"))
    requests = sorted(key for key in names if key.endswith("/request.json"))
    restored = sum(brought_back(services, key.split("/")[1]) for key in requests)
    if identity is not None:
        services.ledger.end_rebuilding(witness, identity)
    return restored


def brought_back(services: Services, job_id: str) -> bool:
    """Whether the job's lost record stands again. One job that cannot be read must not keep the others away."""
    try:
        done = not services.ledger.exists(job_id) and _restore(services, job_id)
    except (ValueError, KeyError):
        log.exception("job_not_restored", job=job_id)
        return False
    if done and not services.blobs.exists(keys.request(job_id)):  # it was forgotten meanwhile
        with suppress(JobNotFound, LedgerLost, WrongState):
            services.ledger.delete(job_id)
        return False
    return done


def _restore(services: Services, job_id: str) -> bool:
    blobs, ledger = services.blobs, services.ledger
    asked = _read(blobs, keys.request(job_id))  # after the look at the record: a deletion takes the request first
    if asked is None:
        return False
    request = Request.model_validate(asked)
    restore = partial(ledger.restore, request, remember_seconds=services.settings.idempotency_seconds)
    final, wish = _read(blobs, keys.final(job_id)), _read(blobs, keys.requested(job_id)) or {}
    if final is None and wish.get("wish") == "cancel":  # before any verdict: where both were in time, the cancel won
        ended = {"cancel_requested_at": wish["at"], "canceled_at": time.time(), "completed_at": time.time()}
        return restore(JobState.CANCELED, **ended)
    if end := final or _last_verdict(blobs, job_id):
        job = Job.model_validate({**end, "request": request})
        return restore(job.state, **_fields(job))
    newest = sorted(blobs.list(keys.checkpoints(job_id)), key=lambda blob: keys.step_of(blob.key))[-2:]
    names = ("checkpoint", "previous_checkpoint")
    found: dict[str, Any] = dict(zip(names, (blob.key for blob in reversed(newest)), strict=False))
    return restore(JobState.QUEUED, finish_requested_at=wish.get("at"), **found)


def _last_verdict(blobs: BlobStore, job_id: str) -> dict[str, Any] | None:
    """The newest: an earlier holder that wrote one was either heard, and then the last, or superseded."""
    found = [
        (blob.modified, blob.key) for blob in blobs.list(keys.claims(job_id)) if blob.key.endswith(".verdict.json")
    ]
    return _read(blobs, max(found)[1]) if found else None


def _fields(job: Job) -> dict[str, Any]:
    """The record's fields that an act does not set by itself."""
    own = {"id", "state", "request", "order", "claim", "last_claim", "worker"}
    return {name: getattr(job, name) for name in Job.model_fields if name not in own}


def _read(blobs: BlobStore, key: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(blobs.get(key))
    except BlobMissing:
        return None
    return found
