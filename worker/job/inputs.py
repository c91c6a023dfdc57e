"""What a claim needs before the first step: the inputs, and the last good state of the job."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog

from shared.errors import BlobMissing, BlobsUnavailable
from shared.images import decode
from shared.ledger.ledger import Claim
from shared.recipe import Recipe
from shared.recovery import job_files
from shared.services import Services, stored_identity
from shared.storage import keys
from worker.job import checkpoint_format
from worker.job.worker_state import Studio
from worker.protocols import Frame
from worker.retry import Patience

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Resumption:
    """Where a job goes on from."""

    key: str  # of the checkpoint
    state: checkpoint_format.State
    frame: Frame  # the picture that it was taken from
    bitwise: bool  # whether every step so far was done on machines like this one
    unnamed: bool  # whether the record does not know this checkpoint yet


class Supplies:
    """Fetches blobs; waits for a store that is away."""

    def __init__(self, services: Services, studio: Studio, claim: Claim, patience: Patience) -> None:
        self._ports, self._studio, self._claim, self._patience = services, studio, claim, patience

    def image(self, sha256: str) -> np.ndarray:
        """(H, W, 3) uint8. Raises BlobMissing."""
        return np.asarray(decode(self._blob(keys.input_image(sha256)), max_pixels=self._ports.settings.max_pixels))

    def resumption(self, recipe: Recipe) -> Resumption | None:
        """From the newest checkpoint that can be used; None to start from the beginning."""
        parting = self._parting()
        for key in filter(None, (parting, self._claim.job.checkpoint, self._claim.job.previous_checkpoint)):
            try:
                state = self._state(key)
            except (BlobMissing, checkpoint_format.BrokenCheckpointError) as error:
                log.warning("checkpoint_unusable", key=key, detail=str(error))
                self.tell(event=("warning", {"code": "checkpoint_unusable", "detail": str(error)}))
                continue
            bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == self._studio.fingerprint
            frame = self._studio.engine.revive(recipe, state)
            self.tell(resumed_from_step=frame.step)
            log.info("resumed", step=frame.step, bitwise=bitwise)
            return Resumption(key, state, frame, bitwise, unnamed=key == parting)
        return None

    def tell(self, **news: Any) -> None:
        """Write into the record. Raises ClaimLost."""
        lease = self._ports.settings.lease_seconds
        self._patience(lambda: self._ports.ledger.renew(self._claim, lease_seconds=lease, **news))

    def _parting(self) -> str | None:
        """What the last holder left, if it lost its lease and that is newer than what the record names."""
        job = self._claim.job
        if not job.last_claim:
            return None
        token = job.last_claim
        key = self._patience(lambda: job_files.read_parting(self._ports.blobs, job.id, token))
        return key if key and keys.step_of(key) > keys.step_of(job.checkpoint) else None

    def _state(self, key: str) -> checkpoint_format.State:
        """What a checkpoint holds. Raises BlobMissing, BrokenCheckpointError."""
        state = checkpoint_format.load(self._blob(key))
        if state.pop("weights", None) != self._studio.weights()["sha256"]:
            raise checkpoint_format.BrokenCheckpointError("The checkpoint was made with other weights.")
        return state

    def _blob(self, key: str) -> bytes:
        return self._patience(lambda: self._found(key))

    def _found(self, key: str) -> bytes:
        """A store that lacks the ledger's id is not the one that holds our blobs: a disk that is not mounted, say."""
        try:
            return self._ports.blobs.get(key)
        except BlobMissing as error:
            if stored_identity(self._ports.blobs) is None:
                raise BlobsUnavailable("The blob store is empty; is its disk mounted?") from error
            raise
