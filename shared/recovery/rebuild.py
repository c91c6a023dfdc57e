"""Rebuilds the records that Redis lost from the jobs' files."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from easel.models import JobState
from shared.errors import JobNotFound, LedgerLost, WrongState
from shared.jobs.job import Job, JobRequest
from shared.jobs.saved_iterations import SavedIterations
from shared.recovery.job_files import read_batch, read_json
from shared.services import Services, stored_identity
from shared.storage import BlobStore, keys
from shared.tenants.quotas import list_quotas

log = structlog.get_logger(__name__)

_FIELDS_OF_SCRIPTS = {"id", "state", "request", "order", "claim", "last_claim", "worker"}
"""Fields that restore.lua sets itself, or that end with the claim."""


def rebuild_ledger(services: Services) -> int:
    """Restore all lost records, then make Redis the ledger again unless it lost them again; return how many.

    Existing records are not changed, so it may run at any time, also concurrently.
    """
    identity = stored_identity(services.blobs)
    marker = services.ledger.begin_rebuild()
    for tenant, quotas in list_quotas(services.blobs):
        services.ledger.set_running_limit(tenant, quotas.running_jobs)
    blob_keys = (blob.key for blob in services.blobs.list("jobs/"))
    job_ids = [key.split("/")[1] for key in blob_keys if key.endswith("/request.json")]
    restored = sum(restore_job(services, job_id) for job_id in sorted(job_ids))
    restored += sum(restore_job(services, job_id) for job_id in sorted(_unlisted_jobs(services.blobs, job_ids)))
    if identity is not None:
        services.ledger.end_rebuild(marker, identity)
    return restored


def _unlisted_jobs(blobs: BlobStore, listed: Sequence[str]) -> set[str]:
    """Return the other jobs of all batches: those that were deleted, or submitted while jobs were listed.

    The file of a batch, without which no job of it was restored, is written after all requests, and names them all.
    """
    others = set[str]()
    for batch_id in {blob.key.split("/")[1] for blob in blobs.list(keys.BATCHES_PREFIX)}:
        try:
            others.update(read_batch(blobs, batch_id))
        except ValueError:
            log.exception("batch_not_read", batch=batch_id)
    return others.difference(listed)


def restore_job(services: Services, job_id: str) -> bool:
    """Restore the record if it is lost; return whether it was restored. Logs a job that cannot be read."""
    try:
        restored = not services.ledger.exists(job_id) and _restore(services, job_id)
    except (ValueError, KeyError):  # must not keep the other jobs from being restored
        log.exception("job_not_restored", job=job_id)
        return False
    if restored and not services.blobs.exists(keys.request(job_id)):  # deleted meanwhile
        with suppress(JobNotFound, LedgerLost, WrongState):
            services.ledger.delete(job_id)
        return False
    return restored


def _restore(services: Services, job_id: str) -> bool:
    blobs, ledger = services.blobs, services.ledger
    stored_request = read_json(blobs, keys.request(job_id))  # after the check of the record: deletion starts with it
    if stored_request is None:
        return False
    request = JobRequest.model_validate(read_json(blobs, keys.fetched_inputs(job_id)) or stored_request)
    if request.batch and not blobs.exists(keys.batch(request.batch)):  # its submission was cut short
        return False
    restore = partial(ledger.restore, request, remember_seconds=services.settings.idempotency_seconds)
    final, control = read_json(blobs, keys.final(job_id)), read_json(blobs, keys.control_request(job_id)) or {}
    iterations = _stored_iterations(blobs, job_id)
    # A cancel takes precedence over a pending outcome, as in end_job.lua.
    if final is None and control.get("action") == "cancel":
        times = {"cancel_requested_at": control["at"], "canceled_at": time.time(), "completed_at": time.time()}
        return restore(JobState.CANCELED, iterations=iterations, **times)
    if outcome := final or _last_pending_outcome(blobs, job_id):
        job = Job.model_validate({**outcome, "request": request})
        fields = {name: getattr(job, name) for name in Job.model_fields if name not in _FIELDS_OF_SCRIPTS}
        return restore(job.state, **fields)
    checkpoints = sorted(blobs.list(keys.checkpoints_prefix(job_id)), key=lambda blob: keys.checkpoint_step(blob.key))
    newest = [blob.key for blob in reversed(checkpoints[-2:])]
    names: dict[str, Any] = dict(zip(("checkpoint", "previous_checkpoint"), newest, strict=False))
    return restore(JobState.QUEUED, finish_requested_at=control.get("at"), iterations=iterations, **names)


def _last_pending_outcome(blobs: BlobStore, job_id: str) -> dict[str, Any] | None:
    """Return the outcome written last."""
    outcomes = [blob for blob in blobs.list(keys.claims_prefix(job_id)) if keys.is_pending_outcome(blob.key)]
    return read_json(blobs, max(outcomes, key=lambda blob: (blob.modified, blob.key)).key) if outcomes else None


def _stored_iterations(blobs: BlobStore, job_id: str) -> SavedIterations:
    """Return the images of a job without an outcome, which names them; of two images of a step, the later one."""
    stored = sorted(blobs.list(keys.iterations_prefix(job_id)), key=lambda blob: blob.modified)
    return SavedIterations(dict(keys.parse_iteration(blob.key) for blob in stored))
