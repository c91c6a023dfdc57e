"""Leaving when told to: with every step kept, whatever part is away, and in time."""

import os
import threading
from typing import Final

import structlog

from shared import truth
from shared.errors import BlobsUnavailable
from shared.ledger import Claim
from shared.ports import Ports
from worker.contract import Frame
from worker.patience import Patience
from worker.scribe import Scribe

log = structlog.get_logger(__name__)

_PATIENCE_SECONDS: Final = 5.0  # for the parts to come back
_GONE_SECONDS: Final = 12.0  # after which we leave even so; the lease does the rest
_EX_TEMPFAIL: Final = 75


def be_gone_in_time() -> None:
    """A store that neither answers nor refuses must not keep us: whoever told us to leave will not wait for ever."""
    timer = threading.Timer(_GONE_SECONDS, os._exit, [_EX_TEMPFAIL])
    timer.daemon = True
    timer.start()


def keep_every_step(scribe: Scribe, frame: Frame, patience: Patience) -> None:
    """Write a checkpoint of this very frame, if the store will have it. Raises LedgerUnavailable, ClaimLost."""
    try:
        patience.for_seconds(_PATIENCE_SECONDS, lambda: scribe.keep(frame))
    except BlobsUnavailable as error:
        log.warning("steps_not_kept", detail=error.detail)


def leave_a_note(ports: Ports, claim: Claim, scribe: Scribe) -> None:
    """Where Redis does not hear of the last checkpoint, tell the next holder of it. Raises BlobsUnavailable."""
    if scribe.unnamed:
        truth.write_parting(ports.blobs, claim.job.id, claim.token, scribe.unnamed)
        log.warning("note_left", checkpoint=scribe.unnamed)
