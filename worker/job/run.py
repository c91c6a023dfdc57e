"""One job's story, from top to bottom: claim, load, iterate, publish."""

import threading
import time
from collections.abc import Iterator
from typing import Any, Final, Literal

import structlog
from kombu import Queue

from easel.models import JobError, JobState
from shared.errors import AttemptsExhausted, ClaimLost, EaselError, LedgerUnavailable, OutOfMemory, Unavailable
from shared.imaging.transparency import Alpha
from shared.presets import BETTER_WEIGHTS, adapted_to_weights
from shared.services import Services
from shared.tracing import annotate, span, trace_phases
from worker import metrics
from worker.devices.memory import suggest_size
from worker.job.checkpoints import CheckpointWriter
from worker.job.heartbeat import Heartbeat
from worker.job.load import find_resume_point, load_inputs
from worker.job.publish import save_iteration, write_result
from worker.job.session import JobSession
from worker.job.worker_state import NO_WEIGHTS, WorkerState
from worker.protocols import Iterate
from worker.spans import claim_span, run_span

log = structlog.get_logger(__name__)

StopReason = Literal["completed", "canceled", "drained", "slice_over"]
_CALIBRATED: Final = f"Rendered with filters that were learned on this machine. {BETTER_WEIGHTS}"
_RELEASE_SECONDS: Final = 3.0  # for Redis to become available in a drain


def claim_next_job(
    services: Services, worker: WorkerState, queue: Queue, drain: threading.Event | None = None
) -> JobSession | None:
    """Claim the next job and send this worker the task that runs it; None if there is no job, or no Redis."""
    started_at = time.time()
    try:
        session = JobSession.claim_next(services, worker.name, worker.memory, drain)
    except Unavailable as error:
        log.warning("claim_failed", detail=error.detail)  # the reaper wakes this worker again
        return None
    if session is None:
        return None
    try:
        with claim_span(session.job, started_at=started_at):
            services.dispatcher.run_here(queue, session.job.id, session.token, session.job.claims)
    except LedgerUnavailable as error:
        log.warning("task_not_sent", job=session.job.id, detail=error.detail)
        session.give_back()
        return None
    return session


def run_job(worker: WorkerState, session: JobSession) -> None:
    """Run a claimed job until it ends or is given back."""
    job = session.job
    context = structlog.contextvars.bound_contextvars(job=job.id, tenant=job.tenant, request_id=job.request.request_id)
    with context, run_span(job), worker.running(job.id):
        log.info("job_claimed", claims=job.claims, recipe=job.request.recipe.preset)
        try:
            if job.memory_failures and worker.has_run_a_job:  # leave it to a process that has run no other job
                worker.needs_replacement = True
                session.release("head")
            else:
                worker.has_run_a_job = True
                JobRun(worker, session).run()
        except ClaimLost as error:
            log.warning("claim_lost", detail=str(error))
        except Unavailable as error:
            log.warning("job_not_released", detail=error.detail)


class JobRun:
    """One claim, from the first heartbeat to its outcome."""

    def __init__(self, worker: WorkerState, session: JobSession) -> None:
        self.worker, self.session, self.heartbeat = worker, session, Heartbeat(session)
        self.recipe, self.saved_iterations = session.job.request.recipe, session.job.iterations
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
                if self.session.control_flags.cancel:
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
        iterates, writer = self._load()
        with writer:
            reason = self._iterate(iterates, writer)
            log.info("loop_stopped", reason=reason, step=self._step())
            if reason == "canceled":  # without waiting for a write in progress
                self._acknowledge("cancel")
                self._end(JobState.CANCELED, stopped_early=True, stopped_at_step=self._step())
        return self.session.finalize() if reason == "canceled" else self._conclude(reason, writer)

    def _check_attempts(self) -> None:
        """Raise AttemptsExhausted for a job that may be what kills workers.

        The reaper does not decide this: the holder of a claim stores the end of a job before Redis has it.
        """
        limit = self.session.settings.attempts_limit
        if self.session.job.leases_lost >= limit:
            detail = f"The job's worker died or hung {limit} times without a new checkpoint; see the workers' logs."
            raise AttemptsExhausted(detail)

    # Load.

    def _load(self) -> tuple[Iterator[Iterate], CheckpointWriter]:
        """Return the iterates from the newest checkpoint on, and the writer of the next checkpoints."""
        session, worker = self.session, self.worker
        with span("load weights"), self.heartbeat.progress.loading_weights():
            self.weights = worker.weights(self.recipe, self.heartbeat.record_preparation)
        if self.weights["source"] == "calibrated" and session.job.claims == 1:
            session.publish_event("warning", code="calibrated_weights", detail=_CALIBRATED)
        with span("load inputs"):
            inputs = load_inputs(session)
        self.recipe = adapted_to_weights(inputs.recipe, self.weights["source"])
        with span("load checkpoint"):
            resumed = find_resume_point(session, worker, inputs, self.recipe, self.weights["sha256"])
            annotate({"easel.job.step": resumed.iterate.step if resumed else None})
        metrics.record_start(session.job, resumed.iterate.step if resumed else None)
        self.alpha = inputs.alpha
        if resumed:
            self.last, self.bitwise = resumed.iterate, resumed.bitwise
        images: dict[str, Any] = {"init_image": inputs.init_image, "masks": inputs.masks}
        state = resumed.state if resumed else None
        iterates = worker.engine.stylize(inputs.content, inputs.styles, self.recipe, state, **images)
        machine = {"fingerprint": worker.fingerprint, "bitwise": self.bitwise, "weights": self.weights["sha256"]}
        self.writer = CheckpointWriter(
            session,
            resumed_from=resumed.key if resumed else None,
            metadata=machine,
            color_space=self.recipe.rendered_space,
        )
        if resumed and not resumed.recorded:
            session.retry(self.writer.write_checkpoint, resumed.iterate)
        return trace_phases("run stage", metrics.measure_steps(iterates, worker.engine.device())), self.writer

    # Iterate.

    def _iterate(self, iterates: Iterator[Iterate], writer: CheckpointWriter) -> StopReason:
        """Run the loop until it is complete or has to stop. Raises ClaimLost."""
        steps, slice_seconds = self.session.job.request.recipe.total_steps, self.session.settings.slice_seconds
        for iterate in self.heartbeat.mark_evaluations(iterates):
            self._record_step(iterate)
            flags = self.session.control_flags
            if flags.cancel:
                return "canceled"
            if iterate.step == steps or (flags.finish and iterate.step > 0):
                return "completed"
            if self.session.drain.is_set():
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
            self.saved_iterations = save_iteration(
                self.session, iterate, self.alpha, self.recipe, self.saved_iterations
            )
        self.last = iterate  # which a drain saves as a checkpoint
        if iterate.step_backoffs > backoffs:
            log.warning("step_halved", step=iterate.step, times=iterate.step_backoffs)
            detail = f"At step {iterate.step} the loss was not finite or exploded; the step was halved."
            self.session.publish_event("warning", code="step_halved", detail=detail)

    # Publish, or give back.

    def _conclude(self, reason: Literal["completed", "drained", "slice_over"], writer: CheckpointWriter) -> None:
        match reason:
            case "drained":
                self._hand_off()
            case "slice_over":
                self.session.retry(self._release, "tail")
            case "completed":
                if self.session.control_flags.finish:
                    self._acknowledge("finish")
                if self.last:
                    self.session.retry(writer.write_preview, self.last)
                self._publish(JobState.SUCCEEDED)

    def _acknowledge(self, request: Literal["cancel", "finish"]) -> None:
        """Report that the loop has stopped for a control request."""
        self.session.publish_event("acknowledged", request=request, step=self._step())

    def _hand_off(self) -> None:
        """Return the job with every step saved; if Redis is unavailable, with a note for the next holder."""
        if self.writer and self.last:
            self.writer.hand_off(self.last)
        try:
            self.session.retry_for(_RELEASE_SECONDS, lambda: self._release("head"))
        except LedgerUnavailable as error:
            log.warning("job_not_released", detail=error.detail)

    def _release(self, place: Literal["head", "tail"], **fields: Any) -> None:
        """Return the job to the head of its queue in a drain, to the tail after a time slice."""
        self.session.release(place, **self.heartbeat.progress.record_fields(), **fields)

    def _retry_or_fail(self, error: OutOfMemory) -> None:
        """Retry once in a fresh child, because the memory shortage may have been temporary; then fail."""
        job, self.worker.needs_replacement = self.session.job, True
        log.warning("out_of_memory", detail=error.detail, times=job.memory_failures + 1)
        if not job.memory_failures:
            self.session.retry(self.session.warn, error.code, error.detail)
            return self._release("head", memory_failures=1)
        return self._fail(error.code, f"{error.detail} {suggest_size(job.request, self.worker.memory.kind)}")

    def _fail(self, code: str, detail: str) -> None:
        """End the job with its last valid iterate, if there is one, as its result."""
        self._publish(JobState.FAILED, JobError(code=code, detail=detail))

    def _publish(self, state: JobState, error: JobError | None = None) -> None:
        """Write the result and its provenance, then make both visible by the fenced transition."""
        with span("publish", {"easel.job.state": str(state), "easel.job.step": self._step()}):
            annotate({}, error=error.code if error else None)
            about = {
                "weights": dict(self.weights),
                "fingerprint": self.worker.fingerprint,
                "bitwise": self.bitwise,
                "environment": dict(self.worker.engine.environment()),
            }
            result = write_result(self.session, self.last, self.alpha, self.recipe, about) if self.last else {}
            self._end(state, error=error, **result)

    def _end(self, state: JobState, **fields: Any) -> None:
        progress = self.heartbeat.progress
        record = progress.record_fields()
        record["progress"] = record["progress"].model_copy(update={"phase": "done"})
        self.session.end_job(state, iterations=self.saved_iterations, **record, **fields)
        timing = progress.timing()
        if state is not JobState.CANCELED:
            self.session.finalize()
        if self.last is not None and timing:
            self.worker.record_run(self.session, timing, shape=self.last.image.shape)

    def _step(self) -> int:
        return self.last.step if self.last else 0
