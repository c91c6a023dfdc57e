"""One job's story, from top to bottom: claim, load, iterate, publish."""

import threading
import time
from typing import Any, Literal

import structlog
from kombu import Queue

from easel.models import JobError, JobState
from shared.errors import AttemptsExhausted, ClaimLost, EaselError, LedgerUnavailable, OutOfMemory, Unavailable
from shared.services import Services
from shared.tracing import annotate, span, trace_phases
from worker import metrics
from worker.devices.memory import suggest_size
from worker.job.heartbeat import Heartbeat
from worker.job.load import LoadedJob, load_job
from worker.job.publish import save_iteration, write_result
from worker.job.session import JobSession, Place
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate
from worker.spans import claim_span, run_span

log = structlog.get_logger(__name__)

StopReason = Literal["completed", "canceled", "drained", "slice_over"]


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
        if job.memory_failures and worker.has_run_a_job:  # leave it to a process that has run no other job
            worker.needs_replacement = True
            return session.give_back()
        worker.has_run_a_job = True
        try:
            JobRun(worker, session).run()
        except ClaimLost as error:
            log.warning("claim_lost", detail=str(error))
        except Unavailable as error:
            log.warning("job_not_released", detail=error.detail)  # its lease expires


class JobRun:
    """One claim, from the first heartbeat to its outcome."""

    def __init__(self, worker: WorkerState, session: JobSession) -> None:
        self.worker, self.session, self.heartbeat = worker, session, Heartbeat(session)
        self.loaded: LoadedJob | None = None
        self.last: Iterate | None = None  # the last valid one

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
            if self.session.ended:
                self.session.finalize()

    def _render_or_fail(self) -> None:
        try:
            self._check_attempts()
            loaded = self._load()
            with loaded.writer:
                reason = self._iterate(loaded)
                self.heartbeat.progress.stop()
                log.info("loop_stopped", reason=reason, step=self._step())
                if reason == "canceled":  # without waiting for a write in progress
                    self._end(JobState.CANCELED)
            match reason:
                case "completed":
                    self._end(JobState.SUCCEEDED)
                case "drained":
                    self._hand_off()
                case "slice_over":
                    self._release("tail")
        except (ClaimLost, Unavailable):
            raise
        except (OutOfMemory, MemoryError) as error:
            self._retry_or_fail(str(error))
        except EaselError as error:
            log.warning("job_failed", code=error.code, detail=error.detail)
            self._end(JobState.FAILED, error)
        except Exception as error:
            log.exception("job_crashed")
            detail = f"{type(error).__name__} in the worker; its log has the details."
            self._end(JobState.FAILED, EaselError(detail))

    def _check_attempts(self) -> None:
        """Raise AttemptsExhausted for a job that may be what kills workers.

        The reaper does not decide this: the holder of a claim stores the end of a job before Redis has it.
        """
        limit = self.session.settings.attempts_limit
        if self.session.job.leases_lost >= limit:
            detail = f"The job's worker died or hung {limit} times without a new checkpoint; see the workers' logs."
            raise AttemptsExhausted(detail)

    def _load(self) -> LoadedJob:
        loaded = self.loaded = load_job(self.session, self.worker, self.heartbeat)
        self.last = loaded.resumed_at
        if self.last and loaded.handed_off:
            self.session.retry(loaded.writer.write_checkpoint, self.last)
        return loaded

    def _iterate(self, loaded: LoadedJob) -> StopReason:
        """Run the loop until it is complete or has to stop. Raises ClaimLost, Unavailable."""
        session, progress, writer = self.session, self.heartbeat.progress, loaded.writer
        for iterate in self.heartbeat.record_steps(trace_phases("run stage", loaded.iterates)):
            metrics.record_step(iterate, progress.step_seconds, self.worker.engine.device())
            save_iteration(session, loaded, iterate)
            self._warn_of_backoffs(iterate)
            self.last = iterate  # which a drain saves as a checkpoint
            flags = session.control_flags
            if flags.cancel or (flags.finish and iterate.step > 0):
                request = "cancel" if flags.cancel else "finish"
                session.publish_event("acknowledged", request=request, step=iterate.step)
                return "canceled" if flags.cancel else "completed"
            if iterate.step == loaded.recipe.total_steps:
                return "completed"
            if session.drain.is_set():
                return "drained"
            slice_over = flags.others_waiting and progress.seconds > session.settings.slice_seconds
            if slice_over and writer.try_write(writer.write_checkpoint, iterate):
                return "slice_over"
            writer.offer(iterate)
        return "completed"

    def _warn_of_backoffs(self, iterate: Iterate) -> None:
        if iterate.step_backoffs > (self.last.step_backoffs if self.last else 0):
            log.warning("step_halved", step=iterate.step, times=iterate.step_backoffs)
            detail = f"At step {iterate.step} the loss was not finite or exploded; the step was halved."
            self.session.publish_event("warning", code="step_halved", detail=detail)

    # The ends of a claim.

    def _end(self, state: JobState, error: EaselError | None = None) -> None:
        """End the job; unless it was canceled, with its last valid iterate, if there is one, as the result."""
        session, progress, last, result = self.session, self.heartbeat.progress, self.last, None
        with span("publish", {"easel.job.state": str(state), "easel.job.step": self._step()}):
            annotate({}, error=error.code if error else None)
            if self.loaded and last and state is not JobState.CANCELED:
                self._write_last_preview(self.loaded, last)
                result = write_result(session, self.loaded, last)
            session.end_job(
                state,
                result=result,
                error=JobError(code=error.code, detail=error.detail) if error else None,
                stopped_early=self._step() < session.job.request.recipe.total_steps,
                stopped_at_step=last.step if last else None,
                **progress.record_fields(phase="done"),
            )
        if run := progress.run_record(self.worker.engine.device()):
            self.worker.registration.update(pixels_per_second=run.pixels_per_second)
            session.record_run(run)

    def _write_last_preview(self, loaded: LoadedJob, last: Iterate) -> None:
        """Write the preview of the result. Raises Unavailable, ClaimLost; other errors must not cost the result."""
        try:
            self.session.retry(loaded.writer.write_preview, last)
        except (ClaimLost, Unavailable):
            raise
        except Exception:  # such as another MemoryError
            log.exception("preview_not_written", step=last.step)

    def _retry_or_fail(self, detail: str) -> None:
        """Retry once in a fresh child, because the memory shortage may have been temporary; then fail."""
        job, self.worker.needs_replacement = self.session.job, True
        log.warning("out_of_memory", detail=detail, times=job.memory_failures + 1)
        if job.memory_failures:
            detail = f"{detail} {suggest_size(job.request, self.worker.memory.kind)}"
            self._end(JobState.FAILED, OutOfMemory(detail))
        else:
            self.session.warn(OutOfMemory.code, detail)
            self._release("head", memory_failures=1)

    def _hand_off(self) -> None:
        """Return the job with every step saved; if Redis is unavailable, with a note for the next holder."""
        if self.loaded and self.last:
            self.loaded.writer.hand_off(self.last)
        self._release("head")

    def _release(self, place: Place, **fields: Any) -> None:
        self.session.retry(self.session.release, place, **self.heartbeat.progress.record_fields(), **fields)

    def _step(self) -> int:
        return self.last.step if self.last else 0
