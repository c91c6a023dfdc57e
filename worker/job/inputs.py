"""Inputs of a claimed job: its images, and the checkpoint that it resumes from."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from shared.errors import BlobMissing, StorageUnavailable
from shared.images import decode
from shared.recipe import Recipe
from shared.services import stored_identity
from shared.storage import keys
from worker.job import checkpoint_format
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """The checkpoint that a job resumes from."""

    key: str
    state: checkpoint_format.State
    iterate: Iterate  # that the checkpoint was taken from
    bitwise: bool  # whether every step so far was done on machines like this one
    recorded: bool  # whether the record names this checkpoint


class JobInputs:
    """Reads blobs, and waits for a store that is unavailable."""

    def __init__(self, session: JobSession, worker: WorkerState, retry: RetryUntilAvailable) -> None:
        self._session, self._worker, self._retry = session, worker, retry

    def image(self, sha256: str) -> np.ndarray:
        """Return an input image, (H, W, 3) uint8. Raises BlobMissing."""
        data = self._blob(keys.input_image(sha256))
        return np.asarray(decode(data, max_pixels=self._session.settings.max_pixels))

    def resume_point(self, recipe: Recipe) -> ResumePoint | None:
        """Return the newest checkpoint that can be used; None to start from the beginning. Raises ClaimLost."""
        job, handed_off = self._session.job, self._handed_off_checkpoint()
        for key in filter(None, (handed_off, job.checkpoint, job.previous_checkpoint)):
            try:
                state = self._checkpoint(key)
            except (BlobMissing, checkpoint_format.BrokenCheckpointError) as error:
                log.warning("checkpoint_unusable", key=key, detail=str(error))
                self.warn("checkpoint_unusable", str(error))
                continue
            bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == self._worker.fingerprint
            iterate = self._worker.engine.restore_iterate(recipe, state)
            self._retry(partial(self._session.renew, resumed_from_step=iterate.step))
            log.info("resumed", step=iterate.step, bitwise=bitwise)
            return ResumePoint(key, state, iterate, bitwise, recorded=key != handed_off)
        return None

    def warn(self, code: str, detail: str) -> None:
        """Append a warning to the job's events. Raises ClaimLost."""
        self._retry(lambda: self._session.renew(event=("warning", {"code": code, "detail": detail})))

    def _handed_off_checkpoint(self) -> str | None:
        """Return the checkpoint in the last holder's handoff note if it is newer than the record's."""
        key = self._retry(self._session.read_handoff_note)
        recorded = self._session.job.checkpoint
        return key if key and keys.checkpoint_step(key) > keys.checkpoint_step(recorded) else None

    def _checkpoint(self, key: str) -> checkpoint_format.State:
        """Return the state in a checkpoint. Raises BlobMissing, BrokenCheckpointError."""
        state = checkpoint_format.load(self._blob(key))
        if state.pop("weights", None) != self._worker.weights()["sha256"]:
            raise checkpoint_format.BrokenCheckpointError("The checkpoint was made with other weights.")
        return state

    def _blob(self, key: str) -> bytes:
        return self._retry(lambda: self._read(key))

    def _read(self, key: str) -> bytes:
        """Read a blob. A store without the ledger's id is not ours, for example because its disk is not mounted."""
        try:
            return self._session.blobs.get(key)
        except BlobMissing as error:
            if stored_identity(self._session.blobs) is None:
                raise StorageUnavailable("The blob store is empty; is its disk mounted?") from error
            raise
