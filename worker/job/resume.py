"""Selection of the checkpoint that a claimed job resumes from."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from shared.errors import BlobMissing
from shared.recipe import Recipe
from shared.storage import keys
from worker.job import checkpoint_format
from worker.job.inputs import JobInputs
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class ResumePoint:
    """The checkpoint that a job resumes from."""

    key: str
    state: checkpoint_format.CheckpointState
    iterate: Iterate  # that the checkpoint was taken from
    bitwise: bool  # whether every step so far was done on machines like this one
    recorded: bool  # whether the record names this checkpoint


class CheckpointReader:
    """Finds the newest checkpoint of a job that can be used."""

    def __init__(self, session: JobSession, worker: WorkerState, inputs: JobInputs, retry: RetryUntilAvailable) -> None:
        self._session, self._worker, self._inputs, self._retry = session, worker, inputs, retry

    def resume_point(
        self, content: np.ndarray, masks: Sequence[np.ndarray], recipe: Recipe, weights_sha256: str
    ) -> ResumePoint | None:
        """Return the newest checkpoint that can be used; None to start from the beginning. Raises ClaimLost."""
        job, handed_off = self._session.job, self._handed_off_checkpoint()
        for key in filter(None, (handed_off, job.checkpoint, job.previous_checkpoint)):
            try:
                state = self._checkpoint(key, weights_sha256)
            except (BlobMissing, checkpoint_format.BrokenCheckpointError) as error:
                log.warning("checkpoint_unusable", key=key, detail=str(error))
                self._retry(partial(self._session.warn, "checkpoint_unusable", str(error)))
                continue
            bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == self._worker.fingerprint
            iterate = self._worker.engine.restore_iterate(content, recipe, state, masks=masks)
            self._retry(partial(self._session.renew, resumed_from_step=iterate.step))
            log.info("resumed", step=iterate.step, bitwise=bitwise)
            return ResumePoint(key, state, iterate, bitwise, recorded=key != handed_off)
        return None

    def _handed_off_checkpoint(self) -> str | None:
        """Return the checkpoint in the last holder's handoff note if it is newer than the record's."""
        key = self._retry(self._session.read_handoff_note)
        recorded = self._session.job.checkpoint
        return key if key and keys.checkpoint_step(key) > keys.checkpoint_step(recorded) else None

    def _checkpoint(self, key: str, weights_sha256: str) -> checkpoint_format.CheckpointState:
        """Return the state in a checkpoint. Raises BlobMissing, BrokenCheckpointError."""
        state = checkpoint_format.load(self._inputs.read(key))
        if state.pop("weights", None) != weights_sha256:
            raise checkpoint_format.BrokenCheckpointError("The checkpoint was made with other weights.")
        return state
