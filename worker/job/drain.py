"""The last writes of a drain: every step is saved, even if a service is unavailable. The heartbeat bounds its time."""

from contextlib import suppress
from typing import Final

import structlog

from shared.errors import LedgerUnavailable, StorageUnavailable
from worker.job.checkpoints import CheckpointWriter
from worker.job.session import JobSession
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable

log = structlog.get_logger(__name__)

_RETRY_SECONDS: Final = 4.0


def save_last_step(writer: CheckpointWriter, iterate: Iterate, retry: RetryUntilAvailable) -> None:
    """Write a checkpoint of the last iterate if the store becomes available in time. Raises ClaimLost."""

    def write() -> None:
        with suppress(LedgerUnavailable):  # a handoff note can name what was written
            writer.write_checkpoint(iterate)

    try:
        retry.for_seconds(_RETRY_SECONDS, write)
    except StorageUnavailable as error:
        log.warning("last_step_not_saved", detail=error.detail)


def write_handoff_note(session: JobSession, writer: CheckpointWriter) -> None:
    """Leave a note for the next holder if the record lacks the last checkpoint. Raises StorageUnavailable."""
    if writer.unrecorded_key:
        session.write_handoff_note(writer.unrecorded_key)
        log.warning("handoff_note_written", checkpoint=writer.unrecorded_key)
