"""One job's whole story: claim, load, iterate, checkpoint, publish.

Every write is fenced by the claim's token: once the job has another holder, `heartbeat.wishes` and every
ledger act raise ClaimLost, and what this worker wrote stays invisible (readers go through the record).
"""

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, TypeVar

import numpy as np
import structlog

from shared import keys, truth
from shared.errors import BlobMissing, ClaimLost, EaselError, JobNotFound, Unavailable
from shared.images import decode, encode_png
from shared.job import JobError, JobState
from shared.ledger import Claim
from shared.ports import Ports
from shared.recipe import Recipe, suited_to
from worker import checkpoint
from worker.engine import Iterate, stylize
from worker.heartbeat import Heartbeat
from worker.provenance import fingerprint, provenance
from worker.scribe import Scribe
from worker.studio import Studio

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
Ending = Literal["painted", "canceled", "drained", "slice over"]
_RETRY_SECONDS: Final = 2.0


def work(ports: Ports, studio: Studio, drain: threading.Event) -> bool:
    """Claim the next job and do it; False where none waits."""
    settings = ports.settings
    claim = ports.ledger.claim(
        studio.name, settings.tiers, lease_seconds=settings.lease_seconds, memory_bytes=settings.memory_bytes
    )
    if claim is None:
        return False
    with structlog.contextvars.bound_contextvars(job=claim.job.id), studio.busy_with(claim.job.id):
        log.info("claimed", epoch=claim.job.epoch, recipe=claim.job.request.recipe.preset)
        try:
            _Task(ports, studio, drain, claim).run()
        except ClaimLost as lost:
            log.warning("claim_lost", detail=str(lost))
        except Unavailable as error:
            log.warning("left_to_its_lease", detail=error.detail)
    return True


class _Task:
    """One claim, from the first beat of its heart to its outcome."""

    def __init__(self, ports: Ports, studio: Studio, drain: threading.Event, claim: Claim) -> None:
        self.ports, self.studio, self.drain, self.claim = ports, studio, drain, claim
        self.job = claim.job
        self.heartbeat = Heartbeat(ports, claim)
        self.last: Iterate | None = None  # the last good picture
        self.bitwise = True  # whether every step so far was done on machines like this one

    def run(self) -> None:
        """Paint until the job ends, must be given back, or turns out to be another's."""
        with self.heartbeat:
            try:
                self._paint()
            except ClaimLost:
                raise
            except Unavailable as error:  # a cancel or a drain came while a part was away
                log.warning("left_unfinished", detail=error.detail)
                if self.heartbeat.wishes.cancel:
                    self._end(JobState.CANCELED)
                else:
                    self.ports.ledger.release(self.claim, place="head")
            except EaselError as error:
                log.warning("job_failed", code=error.code, detail=error.detail)
                self._fail(JobError(code=error.code, detail=error.detail))
            except Exception as error:
                log.exception("job_broke")
                told = f"{type(error).__name__} in the worker; its log has the details."
                self._fail(JobError(code="internal_error", detail=told))

    def _paint(self) -> None:
        iterates, resumed = self._iterates()
        note = {"fingerprint": fingerprint(), "bitwise": self.bitwise, "weights": self._weights_sha256()}
        with Scribe(self.ports, self.claim, resumed=resumed, note=note) as scribe:
            ending = self._iterate(iterates, scribe)
        log.info("stopped", why=ending, step=self.last.step if self.last else 0)
        match ending:
            case "canceled":
                self._end(JobState.CANCELED, stopped_early=True, stopped_at_step=self.last.step if self.last else 0)
            case "drained":
                self._give_back("head")
            case "slice over":
                self._give_back("tail")
            case "painted":
                self._patiently(lambda: scribe.show(self.last) if self.last else None)
                self._publish(JobState.SUCCEEDED)

    def _iterate(self, iterates: Iterator[Iterate], scribe: Scribe) -> Ending:
        """Paint on until it is done or somebody wishes it to stop. Raises ClaimLost."""
        steps, slice_seconds = self.job.request.recipe.steps, self.ports.settings.slice_seconds
        for iterate in iterates:
            self.last = iterate
            self.heartbeat.note(iterate)
            wishes = self.heartbeat.wishes
            if wishes.cancel:
                return "canceled"
            if iterate.step == steps or (wishes.finish and iterate.step > 0):
                return "painted"
            if self.drain.is_set():
                scribe.can_keep(iterate)
                return "drained"
            if wishes.others_wait and self.heartbeat.seconds > slice_seconds and scribe.can_keep(iterate):
                return "slice over"
            scribe.offer(iterate)
        return "painted"

    def _iterates(self) -> tuple[Iterator[Iterate], str | None]:
        """Load what the job needs, and go on from its last good checkpoint; that one's key."""
        request = self.job.request
        content, *styles = [self._input(sha256) for sha256 in (request.content, *request.styles)]
        weights = self.studio.weights()
        state, key = self._resume()
        return stylize(content, styles, self._recipe(), weights=weights, state=state), key

    def _input(self, sha256: str) -> np.ndarray:
        data = self._blob(keys.input_image(sha256))
        return np.asarray(decode(data, max_pixels=self.ports.settings.max_pixels))

    def _resume(self) -> tuple[checkpoint.State | None, str | None]:
        """The newest checkpoint that can be used, else the one before, else nothing; and its key."""
        for key in filter(None, (self.job.checkpoint, self.job.previous_checkpoint)):
            try:
                state = self._state(key)
            except (BlobMissing, checkpoint.BrokenCheckpointError) as error:
                log.warning("checkpoint_unusable", key=key, detail=str(error))
                self._tell(event=("warning", {"code": "checkpoint_unusable", "detail": str(error)}))
                continue
            self.bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == fingerprint()
            step = int(key.rpartition("-")[2])
            self._tell(resumed_from_step=step)
            self.job = self.job.model_copy(update={"resumed_from_step": step})
            log.info("resumed", step=step, bitwise=self.bitwise)
            return state, key
        return None, None

    def _state(self, key: str) -> checkpoint.State:
        """What a checkpoint holds. Raises BlobMissing, BrokenCheckpointError."""
        state = checkpoint.load(self._blob(key))
        if state.pop("weights", None) != self._weights_sha256():
            raise checkpoint.BrokenCheckpointError("The checkpoint was made with other weights.")
        return state

    def _recipe(self) -> Recipe:
        return suited_to(self.job.request.recipe, self.studio.about_weights()["source"])

    def _weights_sha256(self) -> str:
        return self.studio.about_weights()["sha256"]

    def _blob(self, key: str) -> bytes:
        return self._patiently(lambda: self.ports.blobs.get(key))

    def _give_back(self, place: Literal["head", "tail"]) -> None:
        """Step back: to the head of the line on a drain, to its tail after a time slice."""
        self.ports.ledger.release(self.claim, place=place, **self.heartbeat.record())
        self.ports.bells.ring(self.job.request.tier)

    def _publish(self, state: JobState, error: JobError | None = None) -> None:
        """Write the picture and its provenance, then make both visible by the fenced transition."""
        if self.last is None:
            return self._end(state, error=error)
        picture, key, step = encode_png(self.last.image), keys.result(self.job.id, self.claim.token), self.last.step
        about = provenance(
            self.job,
            step=step,
            picture=picture,
            recipe=self._recipe(),
            weights=self.studio.about_weights(),
            bitwise=self.bitwise,
        )
        self._put(key, picture, "image/png")
        self._put(keys.provenance(key), json.dumps(about, indent=2).encode(), "application/json")
        early = step < self.job.request.recipe.steps
        return self._end(state, error=error, result=key, stopped_early=early, stopped_at_step=step)

    def _fail(self, error: JobError) -> None:
        """End the job with its last good picture, if there is one, as its result."""
        self._publish(JobState.FAILED, error)

    def _end(self, state: JobState, **fields: Any) -> None:
        record = self.heartbeat.record()
        record["progress"] = record["progress"].model_copy(update={"phase": "done"})
        self._patiently(lambda: self.ports.ledger.finish(self.claim, state, **record, **fields))
        log.info("ended", state=str(state), step=self.last.step if self.last else 0)
        if self.last is not None:
            height, width, _ = self.last.image.shape
            self.studio.measured(self.job, self.heartbeat, height=height, width=width)
        try:
            truth.seal(self.ports.ledger, self.ports.blobs, self.job.id)
        except (Unavailable, JobNotFound) as error:
            log.warning("not_sealed", detail=error.detail)  # the reaper makes up for it, unless the job was deleted

    def _put(self, key: str, data: bytes, content_type: str) -> None:
        self._patiently(lambda: self.ports.blobs.put(key, data, content_type=content_type))

    def _tell(self, **news: Any) -> None:
        lease = self.ports.settings.lease_seconds
        self._patiently(lambda: self.ports.ledger.renew(self.claim, lease_seconds=lease, **news))

    def _patiently(self, act: Callable[[], Answer]) -> Answer:
        """Do it again while a part is away, unless the job is to stop. Raises ClaimLost, Unavailable."""
        while True:
            try:
                return act()
            except Unavailable as error:
                log.warning("waiting", code=error.code, cause=str(error.__cause__))
                self.heartbeat.wait_with()
                if self.heartbeat.wishes.cancel or self.drain.wait(_RETRY_SECONDS):
                    raise
