"""A job's files in the blob store: request, control request, pending outcome, handoff note, final record.

Redis holds the live ledger; shared/recovery/rebuild.py rebuilds it from these files if Redis loses its data
(docs/decisions/0005-what-outlives-redis.md).
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from easel.models import TERMINAL, JobState
from shared.errors import BlobMissing
from shared.jobs.job import Job, JobRequest
from shared.ledger.ledger import ControlAction, Ledger
from shared.storage import BlobStore, keys

_JSON = "application/json"


def write_request(blobs: BlobStore, request: JobRequest) -> None:
    """Write the request, before the record: from here on the job can be rebuilt."""
    blobs.put(keys.request(request.id), request.model_dump_json().encode(), content_type=_JSON)


def write_batch(blobs: BlobStore, batch_id: str, job_ids: Sequence[str]) -> None:
    """Write the IDs of a batch's jobs, after their requests: without this file, none of them is rebuilt."""
    blobs.put(keys.batch(batch_id), json.dumps({"jobs": job_ids}).encode(), content_type=_JSON)


def read_batch(blobs: BlobStore, batch_id: str) -> Sequence[str]:
    """Return the IDs of a batch's jobs, also of deleted ones and of those whose record Redis lost."""
    content = read_json(blobs, keys.batch(batch_id)) or {}
    return list(map(str, content.get("jobs", ())))


def write_fetched_inputs(blobs: BlobStore, request: JobRequest) -> None:
    """Write the complete request, before the record has it: a rebuilt record need not fetch its images again."""
    blobs.put(keys.fetched_inputs(request.id), request.model_dump_json().encode(), content_type=_JSON)


def write_control_request(blobs: BlobStore, job_id: str, action: ControlAction) -> None:
    """Write a control request, before its flag in the record. A finish never replaces a cancel."""
    earlier = read_json(blobs, keys.control_request(job_id)) or {}
    body = {"action": "cancel" if earlier.get("action") == "cancel" else action, "at": time.time()}
    blobs.put(keys.control_request(job_id), json.dumps(body).encode(), content_type=_JSON)


def withdraw_control_request(ledger: Ledger, blobs: BlobStore, job_id: str) -> None:
    """Delete a control request that the ledger rejected, unless the job was canceled. Raises JobNotFound."""
    if ledger.get(job_id).state is not JobState.CANCELED:
        blobs.delete(keys.control_request(job_id))


def write_pending_outcome(blobs: BlobStore, job: Job, token: str) -> None:
    """Write the record as its holder is about to end it, before the transition.

    If Redis is lost before `finalize`, nothing else shows whether the outcome was published.
    """
    body = job.model_dump_json(exclude={"request"}).encode()
    blobs.put(keys.pending_outcome(job.id, job.claims, token), body, content_type=_JSON)


def write_handoff_note(blobs: BlobStore, job_id: str, token: str, checkpoint: str) -> None:
    """Name the last checkpoint for the next holder, if this one stops while the record cannot be written."""
    blobs.put(keys.handoff_note(job_id, token), json.dumps({"checkpoint": checkpoint}).encode(), content_type=_JSON)


def read_handoff_note(blobs: BlobStore, job_id: str, token: str) -> str | None:
    """Return the checkpoint's key from the handoff note of this claim, or None if there is no note."""
    note = read_json(blobs, keys.handoff_note(job_id, token))
    return str(note["checkpoint"]) if note else None


def finalize(ledger: Ledger, blobs: BlobStore, job_id: str) -> None:
    """Write an ended job's final record, and delete its checkpoints, by far its largest blobs.

    Done by the holder that ended the job, or else by the reaper. Raises JobNotFound, Unavailable.
    """
    job = ledger.get(job_id)
    if job.state not in TERMINAL:
        return
    blobs.put(keys.final(job_id), job.model_dump_json(exclude={"request"}).encode(), content_type=_JSON)
    unpublished = [keys.results_prefix(job_id)] if job.result is None else []
    for prefix in (keys.checkpoints_prefix(job_id), keys.claims_prefix(job_id), *unpublished):
        for blob in list(blobs.list(prefix)):
            blobs.delete(blob.key)
    ledger.mark_finalized(job_id)


def read_json(blobs: BlobStore, key: str) -> dict[str, Any] | None:
    """Return the JSON object under this key, or None if there is no such blob."""
    try:
        content: dict[str, Any] = json.loads(blobs.get(key))
    except BlobMissing:
        return None
    return content
