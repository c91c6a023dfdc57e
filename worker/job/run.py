"""The run of one job under a claim: load, iterate, checkpoint, publish."""

import threading
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import structlog

from easel.models import JobError, JobState
from shared.errors import AttemptsExhausted, ClaimLost, EaselError, LedgerUnavailable, OutOfMemory, Unavailable
from shared.imaging.transparency import Alpha
from shared.presets import BETTER_WEIGHTS, adapted_to_weights
from shared.services import Services
from shared.tracing import annotate, span, trace_phases
from worker import metrics
from worker.devices.memory import suggest_size
from worker.job.checkpoints import CheckpointWriter
from worker.job.drain import save_last_step, write_handoff_note
from worker.job.heartbeat import Heartbeat
from worker.job.inputs import JobInputs
from worker.job.iterations import IterationSaver
from worker.job.provenance import provenance
from worker.job.publish import Publisher
from worker.job.resume import CheckpointReader
from worker.job.session import JobSession
from worker.job.worker_state import NO_WEIGHTS, WorkerState
from worker.protocols import Iterate
from worker.retry import RetryUntilAvailable

log = structlog.get_logger(__name__)

StopReason = Literal["completed", "canceled", "drained", "slice_over"]
_CALIBRATED: Final = f"Rendered with filters that were learned on this machine. {BETTER_WEIGHTS}"
_RELEASE_SECONDS: Final = 3.0  # for Redis to become available in a drain


class JobRun:
    """One claim, from the first heartbeat to its outcome."""

    def __init__(self, services: Services, worker: WorkerState, drain: threading.Event, session: JobSession) -> None:
        self.services, self.worker, self.drain, self.session = services, worker, drain, session
        self.job, self.recipe = session.job, session.job.request.recipe
        self.heartbeat = Heartbeat(session, drain)
        self.retry = RetryUntilAvailable(self.heartbeat, drain)
        self.inputs = JobInputs(session, self.retry)
        self.iterations = IterationSaver(session, self.retry)
        self.publisher = Publisher(session, self.retry)
        self.weights = NO_WEIGHTS
        self.writer: CheckpointWriter | None = None
        self.alpha: Alpha | None = None  # of the photo, for the result and saved iterations
        self.last: Iterate | None = None  # the last valid one
        self.bitwise = True  # whether every step so far was done on machines like this one

    def run(self) -> None:
        """Run until the job ends or is given back. Raises ClaimLost, Unavailable."""
        with self.heartbeat:
            try:
                self._render_or_fail()
            except Unavailable as error:  # a cancel or a drain came while a service was unavailable
                log.warning("job_interrupted", detail=error.detail)
                if self.heartbeat.control_flags.cancel:
                    self._end(JobState.CANCELED)
                else:
                    self._hand_off()

    def _render_or_fail(self) -> None:
        try:
            self._render()
        except (ClaimLost, Unavailable):
            raise
        except (OutOfMemory, MemoryError) as error:
            self._retry_or_fail(error if isinstance(error, OutOfMemory) else OutOfMemory(str(error)))
        except EaselError as error:
            log.warning("job_failed", code=error.code, detail=error.detail)
            self._fail(error.code, error.detail)
        except Exception as error:
            log.exception("job_crashed")
            self._fail("internal_error", f"{type(error).__name__} in the worker; its log has the details.")

    def _render(self) -> None:
        self._check_attempts()
        request = self.job.request
        with span("load weights"), self.heartbeat.progress.loading_weights():
            self.weights = self.worker.weights(request.recipe, self.heartbeat.record_preparation)
        if self.weights["source"] == "calibrated" and self.job.claims == 1:
            self.session.publish_event("warning", code="calibrated_weights", detail=_CALIBRATED)
        recipe = self.recipe = adapted_to_weights(request.recipe, self.weights["source"])
        with span("load inputs"):
            content, self.alpha = self.inputs.photo(request.content)
            styles = [self.inputs.style(sha256) for sha256 in request.styles]
            init_image = self.inputs.image(request.init_image) if request.init_image else None
            masks = [np.ascontiguousarray(self.inputs.image(sha256)[..., 0]) for sha256 in request.content_masks]
        with span("load checkpoint"):
            reader = CheckpointReader(self.session, self.worker, self.inputs, self.retry)
            resumed = reader.resume_point(content, masks, recipe, self.weights["sha256"])
            annotate({"easel.job.step": resumed.iterate.step if resumed else None})
        metrics.record_start(self.job, resumed.iterate.step if resumed else None)
        if resumed:
            self.last, self.bitwise = resumed.iterate, resumed.bitwise
            self.job = self.job.model_copy(update={"resumed_from_step": resumed.iterate.step})
        state = resumed.state if resumed else None
        iterates = self.worker.engine.stylize(content, styles, recipe, state, init_image=init_image, masks=masks)
        iterates = metrics.measure_steps(iterates, self.worker.engine.device())
        iterates = trace_phases("run stage", iterates)
        resumed_from = resumed.key if resumed else None
        self.writer = CheckpointWriter(self.session, resumed_from=resumed_from, metadata=self._checkpoint_metadata())
        with self.writer as writer:
            if resumed and not resumed.recorded:
                self.retry(partial(writer.write_checkpoint, resumed.iterate))
            del resumed, state  # as large as the engine's
            reason = self._iterate(iterates, writer)
            log.info("loop_stopped", reason=reason, step=self._step())
            if reason == "canceled":
                self._cancel()  # without waiting for a write in progress
        return self.publisher.finalize() if reason == "canceled" else self._conclude(reason, writer)

    def _check_attempts(self) -> None:
        """Raise AttemptsExhausted for a job that may be what kills workers.

        Not the reaper's decision: the holder of a claim stores the end of a job before Redis has it.
        """
        limit = self.session.settings.attempts_limit
        if self.job.leases_lost >= limit:
            detail = f"The job's worker died or hung {limit} times without a new checkpoint; see the workers' logs."
            raise AttemptsExhausted(detail)

    def _iterate(self, iterates: Iterator[Iterate], writer: CheckpointWriter) -> StopReason:
        """Run the loop until it is complete or has to stop. Raises ClaimLost."""
        steps, slice_seconds = self.job.request.recipe.total_steps, self.session.settings.slice_seconds
        for iterate in self.heartbeat.mark_evaluations(iterates):
            self._record_step(iterate)
            flags = self.heartbeat.control_flags
            if flags.cancel:
                return "canceled"
            if iterate.step == steps or (flags.finish and iterate.step > 0):
                return "completed"
            if self.drain.is_set():
                return "drained"
            slice_over = flags.others_waiting and self.heartbeat.progress.seconds > slice_seconds
            if slice_over and writer.try_write_checkpoint(iterate):
                return "slice_over"
            writer.offer(iterate)
        return "completed"

    def _record_step(self, iterate: Iterate) -> None:
        backoffs = self.last.step_backoffs if self.last else 0
        self.heartbeat.record_step(iterate)
        with self.heartbeat.progress.untimed():
            self.iterations.save_if_due(iterate, self.alpha)
        self.last = iterate  # which a drain saves as a checkpoint
        if iterate.step_backoffs > backoffs:
            log.warning("step_halved", step=iterate.step, times=iterate.step_backoffs)
            detail = f"At step {iterate.step} the loss was not finite or exploded; the step was halved."
            self.session.publish_event("warning", code="step_halved", detail=detail)

    def _conclude(self, reason: Literal["completed", "drained", "slice_over"], writer: CheckpointWriter) -> None:
        match reason:
            case "drained":
                self._hand_off()
            case "slice_over":
                self.retry(lambda: self._release("tail"))
            case "completed":
                if self.heartbeat.control_flags.finish:
                    self._acknowledge("finish")
                if self.last:
                    self.retry(partial(writer.write_preview, self.last))
                self._publish(JobState.SUCCEEDED)

    def _cancel(self) -> None:
        self._acknowledge("cancel")
        self._end(JobState.CANCELED, stopped_early=True, stopped_at_step=self._step())

    def _hand_off(self) -> None:
        """Return the job with every step saved; if Redis is unavailable, with a note for the next holder."""
        if self.writer and self.last:
            save_last_step(self.writer, self.last, self.retry)
            write_handoff_note(self.session, self.writer)
        try:
            self.retry.for_seconds(_RELEASE_SECONDS, lambda: self._release("head"))
        except LedgerUnavailable as error:
            log.warning("job_not_released", detail=error.detail)

    def _release(self, place: Literal["head", "tail"], **fields: Any) -> None:
        """Return the job to the head of its queue in a drain, to the tail after a time slice."""
        self.session.release(place, **self.heartbeat.progress.record_fields(), **fields)
        self.session.wake_worker()

    def _acknowledge(self, request: Literal["cancel", "finish"]) -> None:
        """Report that the loop has stopped for a control request."""
        self.session.publish_event("acknowledged", request=request, step=self._step())

    def _retry_or_fail(self, error: OutOfMemory) -> None:
        """Retry once in a fresh child, because the memory shortage may have been temporary; then fail."""
        log.warning("out_of_memory", detail=error.detail, times=self.job.memory_failures + 1)
        self.worker.needs_replacement = True
        if not self.job.memory_failures:
            self.retry(partial(self.session.warn, error.code, error.detail))
            return self._release("head", memory_failures=1)
        return self._fail(error.code, f"{error.detail} {suggest_size(self.job.request, self.worker.memory.kind)}")

    def _fail(self, code: str, detail: str) -> None:
        """End the job with its last valid iterate, if there is one, as its result."""
        self._publish(JobState.FAILED, JobError(code=code, detail=detail))

    def _publish(self, state: JobState, error: JobError | None = None) -> None:
        """Write the result and its provenance, then make both visible by the fenced transition."""
        attributes = {"easel.job.state": str(state), "easel.job.step": self._step()}
        with span("publish", attributes):
            annotate({}, error=error.code if error else None)
            result = self.publisher.write_result(self.last, self._describe, self.alpha) if self.last else {}
            self._end(state, error=error, **result)

    def _describe(self, iterate: Iterate, png: bytes) -> Mapping[str, Any]:
        return provenance(
            self.job,
            step=iterate.step,
            png=png,
            recipe=self.recipe,
            weights=self.weights,
            environment=self.worker.engine.environment(),
            bitwise=self.bitwise,
        )

    def _end(self, state: JobState, **fields: Any) -> None:
        record = self.heartbeat.progress.record_fields()
        record["progress"] = record["progress"].model_copy(update={"phase": "done"})
        self.publisher.end_job(state, iterations=self.iterations.saved, **record, **fields)
        timing = self.heartbeat.progress.timing()
        if state is not JobState.CANCELED:
            self.publisher.finalize()
        if self.last is not None and timing:
            self.worker.record_run(self.services.run_history, self.job, timing, shape=self.last.image.shape)

    def _checkpoint_metadata(self) -> dict[str, Any]:
        """Return what each checkpoint holds in addition to the engine's state."""
        weights = self.weights["sha256"]
        return {"fingerprint": self.worker.fingerprint, "bitwise": self.bitwise, "weights": weights}

    def _step(self) -> int:
        return self.last.step if self.last else 0
