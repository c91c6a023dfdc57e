"""Leaving when told to, with every step kept, whatever part is away. The heartbeat sees to it that it is in time."""

from contextlib import suppress
from typing import Final

import structlog

from shared.errors import BlobsUnavailable, LedgerUnavailable
from shared.ledger.ledger import Claim
from shared.recovery import job_files
from shared.services import Services
from worker.job.checkpoints import Scribe
from worker.protocols import Frame
from worker.retry import Patience

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 4.0  # for a part to come back


def keep_every_step(scribe: Scribe, frame: Frame, patience: Patience) -> None:
    """Write a checkpoint of this very frame, if the store will have it. Raises ClaimLost."""

    def keep() -> None:
        with suppress(LedgerUnavailable):  # what is written can be told of by a note
            scribe.keep(frame)

    try:
        patience.for_seconds(_PATIENCE_SECONDS, keep)
    except BlobsUnavailable as error:
        log.warning("steps_not_kept", detail=error.detail)


def leave_a_note(services: Services, claim: Claim, scribe: Scribe) -> None:
    """Where Redis did not hear of the last checkpoint, tell the next holder of it. Raises BlobsUnavailable."""
    if scribe.unnamed:
        job_files.write_parting(services.blobs, claim.job.id, claim.token, scribe.unnamed)
        log.warning("note_left", checkpoint=scribe.unnamed)
