"""One job's whole story: claim, load, iterate, checkpoint, publish.

Every write is fenced by the claim's token: once the job has another holder, `heartbeat.wishes` and every
ledger act raise ClaimLost, and what this worker wrote stays invisible (readers go through the record).
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal

import structlog

from easel.models import JobError, JobState
from shared.errors import ClaimLost, EaselError, LedgerUnavailable, OutOfMemory, Unavailable
from shared.ledger.ledger import Claim
from shared.recipe import adapted_to_weights
from shared.services import Services
from worker.devices.memory import what_would_fit
from worker.job.checkpoints import Scribe
from worker.job.drain import keep_every_step, leave_a_note
from worker.job.heartbeat import Heartbeat
from worker.job.inputs import Supplies
from worker.job.provenance import provenance
from worker.job.publish import Ending
from worker.job.worker_state import Studio
from worker.protocols import Frame
from worker.retry import Patience

log = structlog.get_logger(__name__)

Stop = Literal["painted", "canceled", "drained", "slice over"]
_LEAVE_SECONDS: Final = 3.0  # for Redis to come back while we are told to go


def work(services: Services, studio: Studio, drain: threading.Event) -> bool:
    """Claim the next job and do it; False where none waits."""
    claim = _claim(services, studio)
    if claim is None:
        return False
    with structlog.contextvars.bound_contextvars(job=claim.job.id), studio.busy_with(claim.job.id):
        log.info("claimed", epoch=claim.job.epoch, recipe=claim.job.request.recipe.preset)
        try:
            if claim.job.memory_failures and studio.used:
                return _leave_to_a_fresh_child(services, studio, claim)
            studio.used = True
            _Task(services, studio, drain, claim).run()
        except ClaimLost as lost:
            log.warning("claim_lost", detail=str(lost))
        except Unavailable as error:
            log.warning("left_to_its_lease", detail=error.detail)
    return True


def _claim(services: Services, studio: Studio) -> Claim | None:
    settings, memory = services.settings, studio.memory
    try:
        return services.ledger.claim(
            studio.name,
            settings.tiers,
            lease_seconds=settings.lease_seconds,
            memory_bytes=memory.size,
            memory_kind=memory.kind,
        )
    except Unavailable as error:
        log.warning("nothing_claimed", detail=error.detail)  # the reaper rings again
        return None


def _leave_to_a_fresh_child(services: Services, studio: Studio, claim: Claim) -> bool:
    """A job that ran out of memory once gets a process of which it has all the memory."""
    studio.spent = True
    services.ledger.release(claim, place="head")
    return services.dispatcher.wake(claim.job.request.tier)


class _Task:
    """One claim, from the first beat of its heart to its outcome."""

    def __init__(self, services: Services, studio: Studio, drain: threading.Event, claim: Claim) -> None:
        self.services, self.studio, self.drain, self.claim = services, studio, drain, claim
        self.job, self.recipe = claim.job, claim.job.request.recipe
        self.heartbeat = Heartbeat(services, claim, drain)
        self.patience = Patience(self.heartbeat, drain)
        self.supplies = Supplies(services, studio, claim, self.patience)
        self.ending = Ending(services, claim, self.patience)
        self.scribe: Scribe | None = None
        self.last: Frame | None = None  # the last good picture
        self.bitwise = True  # whether every step so far was done on machines like this one

    def run(self) -> None:
        """Paint until the job ends, must be given back, or turns out to be another's."""
        with self.heartbeat:
            try:
                self._paint()
            except ClaimLost:
                raise
            except (OutOfMemory, MemoryError) as error:
                self._retry_or_fail(error if isinstance(error, OutOfMemory) else OutOfMemory(str(error)))
            except Unavailable as error:  # a cancel or a drain came while a part was away
                log.warning("left_unfinished", detail=error.detail)
                if self.heartbeat.control_flags.cancel:
                    self._end(JobState.CANCELED)
                else:
                    self._leave()
            except EaselError as error:
                log.warning("job_failed", code=error.code, detail=error.detail)
                self._fail(error.code, error.detail)
            except Exception as error:
                log.exception("job_broke")
                self._fail("internal_error", f"{type(error).__name__} in the worker; its log has the details.")

    def _paint(self) -> None:
        request, engine = self.job.request, self.studio.engine
        recipe = self.recipe = adapted_to_weights(request.recipe, self.studio.weights()["source"])
        content, *styles = [self.supplies.image(sha256) for sha256 in (request.content, *request.styles)]
        resumed = self.supplies.resumption(recipe)
        if resumed:
            self.last, self.bitwise = resumed.frame, resumed.bitwise
            self.job = self.job.model_copy(update={"resumed_from_step": resumed.frame.step})
        frames = engine.stylize(content, styles, recipe, resumed.state if resumed else None)
        self.scribe = Scribe(self.services, self.claim, resumed=resumed.key if resumed else None, note=self._note())
        with self.scribe as scribe:
            if resumed and resumed.unnamed and self.last:
                self.patience(partial(scribe.keep, self.last))
            del resumed  # as large as what the engine goes on with
            why = self._iterate(frames, scribe)
            log.info("stopped", why=why, step=self._step())
            if why == "canceled":
                self._cancel()  # without waiting for what the scribe may be writing
        return self.ending.seal() if why == "canceled" else self._act_upon(why, scribe)

    def _iterate(self, frames: Iterator[Frame], scribe: Scribe) -> Stop:
        """Paint on until it is done or somebody wishes it to stop. Raises ClaimLost."""
        steps, slice_seconds = self.job.request.recipe.steps, self.services.settings.slice_seconds
        for frame in self.heartbeat.watched(frames):
            self._notice(frame)
            control_flags = self.heartbeat.control_flags
            if control_flags.cancel:
                return "canceled"
            if frame.step == steps or (control_flags.finish and frame.step > 0):
                return "painted"
            if self.drain.is_set():
                return "drained"
            if control_flags.others_waiting and self.heartbeat.seconds > slice_seconds and scribe.can_keep(frame):
                return "slice over"
            scribe.offer(frame)
        return "painted"

    def _notice(self, frame: Frame) -> None:
        before = self.last.step_backoffs if self.last else 0
        self.last = frame
        self.heartbeat.note(frame)
        if frame.step_backoffs > before:
            log.warning("step_halved", step=frame.step, times=frame.step_backoffs)
            detail = f"At step {frame.step} the loss was not finite or exploded; the step was halved."
            self._say("warning", code="step_halved", detail=detail)

    def _act_upon(self, why: Literal["painted", "drained", "slice over"], scribe: Scribe) -> None:
        match why:
            case "drained":
                self._leave()
            case "slice over":
                self.patience(lambda: self._give_back("tail"))
            case "painted":
                if self.heartbeat.control_flags.finish:
                    self._acknowledge("finish")
                self.patience(lambda: scribe.show(self.last) if self.last else None)
                self._publish(JobState.SUCCEEDED)

    def _cancel(self) -> None:
        self._acknowledge("cancel")
        self._end(JobState.CANCELED, stopped_early=True, stopped_at_step=self._step())

    def _leave(self) -> None:
        """Give the job back with every step kept; where Redis does not hear of it, by a note for the next holder."""
        if self.scribe and self.last:
            keep_every_step(self.scribe, self.last, self.patience)
            leave_a_note(self.services, self.claim, self.scribe)
        try:
            self.patience.for_seconds(_LEAVE_SECONDS, lambda: self._give_back("head"))
        except LedgerUnavailable as error:
            log.warning("left_to_its_lease", detail=error.detail)

    def _give_back(self, place: Literal["head", "tail"], **fields: Any) -> None:
        """Step back: to the head of the line on a drain, to its tail after a time slice."""
        self.services.ledger.release(self.claim, place=place, **self.heartbeat.record(), **fields)
        self.services.dispatcher.wake(self.job.request.tier)

    def _acknowledge(self, wish: Literal["cancel", "finish"]) -> None:
        """Tell that the loop has stopped for it."""
        self._say("acknowledged", request=wish, step=self._step())

    def _say(self, kind: str, **news: Any) -> None:
        """Add to the job's events; not worth waiting for."""
        with suppress(Unavailable):
            lease = self.services.settings.lease_seconds
            self.services.ledger.renew(self.claim, lease_seconds=lease, event=(kind, news))

    def _retry_or_fail(self, error: OutOfMemory) -> None:
        """Once more on a fresh child, for memory may have been short for a reason that has gone; then no more."""
        log.warning("out_of_memory", detail=error.detail, times=self.job.memory_failures + 1)
        self.studio.spent = True
        if not self.job.memory_failures:
            self.supplies.tell(event=("warning", {"code": error.code, "detail": error.detail}))
            return self._give_back("head", memory_failures=1)
        return self._fail(error.code, f"{error.detail} {what_would_fit(self.job.request, self.studio.memory.kind)}")

    def _publish(self, state: JobState, error: JobError | None = None) -> None:
        """Write the picture and its provenance, then make both visible by the fenced transition."""
        if self.last is None:
            return self._end(state, error=error)
        return self._end(state, error=error, **self.ending.picture(self.last, self._describe))

    def _describe(self, frame: Frame, png: bytes) -> Mapping[str, Any]:
        return provenance(
            self.job,
            step=frame.step,
            picture=png,
            recipe=self.recipe,
            weights=self.studio.weights(),
            environment=self.studio.engine.environment(),
            bitwise=self.bitwise,
        )

    def _fail(self, code: str, detail: str) -> None:
        """End the job with its last good picture, if there is one, as its result."""
        self._publish(JobState.FAILED, JobError(code=code, detail=detail))

    def _end(self, state: JobState, **fields: Any) -> None:
        record = self.heartbeat.record()
        record["progress"] = record["progress"].model_copy(update={"phase": "done"})
        self.ending.declare(state, **record, **fields)
        times = self.heartbeat.times()
        if state is not JobState.CANCELED:
            self.ending.seal()
        if self.last is not None and times:
            self.studio.learn(self.services.run_history, self.job, times, shape=self.last.image.shape)

    def _note(self) -> dict[str, Any]:
        """Kept in each checkpoint beside the engine's state."""
        about = {"fingerprint": self.studio.fingerprint, "bitwise": self.bitwise}
        return {**about, "weights": self.studio.weights()["sha256"]}

    def _step(self) -> int:
        return self.last.step if self.last else 0
