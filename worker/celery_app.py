"""The worker process: Celery's prefork pool with one child that runs jobs, and the signals between parent and child.

TensorFlow is imported in the child only: if it runs in the parent, every fork hangs. On SIGTERM Celery's parent waits
for the child's task, which may take an hour. So the parent forwards the signal, and the child drains.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final

import billiard.pool
import billiard.util
import structlog
from billiard.pool import EX_RECYCLE
from celery import Celery, current_task
from celery.concurrency.asynpool import AsynPool
from celery.exceptions import Retry
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from celery.worker.state import active_requests
from kombu import Queue

from shared.dispatch import STYLIZE_TASK, WAKE_UP_TASK, claim_token, create_celery_app, own_queue, queue_name
from shared.errors import ClaimLost, LedgerUnavailable, Unavailable
from shared.logging import configure_logging
from shared.metrics.pipe import MetricsPipe
from shared.metrics.server import MetricsServer, start_metrics_server
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import LONG_TIMEOUTS
from shared.tracing import configure_tracing, stop_tracing
from worker import metrics
from worker.celery_requests import StylizeRequest, take_back
from worker.consumer_watchdog import ConsumerWatchdog, end_process
from worker.devices.memory import WorkerMemory, expected_memory
from worker.job.run import claim_next_job, run_job
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.protocols import Engine
from worker.registration import Registration

log = structlog.get_logger(__name__)

OpenEngine = Callable[[Settings], Engine]

_CHILD_CHECK_SECONDS: Final = 1.0
_QUEUED_AGAIN: Final = "The job has not ended."  # for Celery's log and its tools
_TASK_SECONDS: Final = 10.0  # from a claim to its task, which takes milliseconds

app = create_celery_app(Settings())
"""For Celery's tools: `celery -A worker.celery_app inspect active`."""


def open_tensorflow_engine(settings: Settings) -> Engine:
    """Return the engine that renders. Call it in the child only."""
    from worker.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415 - it imports TensorFlow

    return TensorFlowEngine(settings)


class CeleryWorker:
    """The wiring in Celery's parent. `child` is set in the child only."""

    def __init__(
        self, app: Celery, settings: Settings, name: str, open_engine: OpenEngine = open_tensorflow_engine
    ) -> None:
        self.app, self.settings, self.name, self.open_engine = app, settings, name, open_engine
        # In the parent: NVIDIA's driver may take seconds to respond, and Celery gives a child four seconds to start.
        self.memory = expected_memory(settings.memory_bytes, settings.memory_share)
        self.services = open_services(settings)  # of the parent
        app.task(name=WAKE_UP_TASK, send_events=False)(self.claim_next_job)
        app.task(name=STYLIZE_TASK, Request=StylizeRequest, services=self.services)(self.stylize)
        app.amqp.queues.select([queue_name(tier) for tier in settings.tiers])
        self.own_queue = own_queue(name)
        app.amqp.queues.select_add(self.own_queue)
        # Celery checks at a child's exit, often a moment too early to see it, and otherwise every five seconds.
        setattr(AsynPool, "timers", property(lambda pool: {pool.maintain_pool: _CHILD_CHECK_SECONDS}))  # noqa: B010
        self.child: Child | None = None
        self._consumer: Any = None
        self._draining = False
        self._metrics_pipe = MetricsPipe()
        self._metrics_server: MetricsServer | None = None
        setup_logging.connect(self._keep_logging, weak=False)
        worker_process_init.connect(self._start_child, weak=False)
        worker_process_shutdown.connect(self._stop_child, weak=False)
        worker_ready.connect(self._on_ready, weak=False)
        worker_shutting_down.connect(self._forward_sigterm, weak=False)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT. Raises InvalidSettings if the port for metrics is in use."""
        metrics.show_zeros(self.settings.tiers)
        metrics.WorkerCollector(self._state, self._child_pids).register()
        self._metrics_pipe.start()
        self._metrics_server = start_metrics_server(self.settings)
        self.app.worker_main(["--quiet", "worker", *self.options()])

    def options(self) -> list[str]:
        """Return the options for Celery's command line: one child, no events between workers."""
        return ["--pool=prefork", "--concurrency=1", f"--hostname={self.name}", "--without-gossip", "--without-mingle"]

    def claim_next_job(self) -> None:
        """Claim the next job, if there is one; the body of the wake-up task."""
        if self.child:
            self.child.claim_next_job()

    def stylize(self, job_id: str) -> None:
        """Run a claimed job; the body of the task that has its ID."""
        if self.child:
            self.child.stylize(job_id, claim_token(vars(current_task.request)))

    def _keep_logging(self, **_: Any) -> None:
        """Keep Easel's logging: a receiver of this signal replaces Celery's own."""
        pool_log = billiard.util.get_logger()
        pool_log.propagate = True  # it reports children that died
        pool_log.setLevel(logging.ERROR)

    def _start_child(self, **_: Any) -> None:
        # A child waits until the parent has read its results: 300 times 0.1 s. If SIGTERM arrives as a task starts, the
        # parent has forgotten the task and never reads them. Nothing waits for these results, so a second is enough.
        billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10
        self._metrics_pipe.use_in_child()
        if self._metrics_server:
            self._metrics_server.close_in_child()
        metrics.CHILDREN.inc()
        self.child = Child(self.settings, self.name, self.memory, self.open_engine, self.own_queue)

    def _stop_child(self, **_: Any) -> None:
        if self.child:
            self.child.stop()

    def _on_ready(self, sender: Any, **_: Any) -> None:
        self._consumer = sender
        ConsumerWatchdog(self.services, end_process).start()

    def _forward_sigterm(self, **_: Any) -> None:
        self._draining = True
        for process in self._child_pids():
            os.kill(process, signal.SIGTERM)

    def _child_pids(self) -> Sequence[int]:
        try:
            return self._consumer.pool.info["processes"] if self._consumer else ()
        except AttributeError:  # the pool has stopped
            return ()

    def _state(self) -> str:
        """Return one of metrics.STATES."""
        if self._draining:
            return "draining"
        if any(request.name == STYLIZE_TASK for request in tuple(active_requests)):
            return "running"
        return "idle" if self._child_pids() else "starting"


class Child:
    """The process that runs jobs."""

    def __init__(
        self, settings: Settings, name: str, memory: WorkerMemory, open_engine: OpenEngine, queue: Queue
    ) -> None:
        self.settings, self.name, self.queue = settings, name, queue
        self.drain = threading.Event()
        self.services: Services = open_services(settings, LONG_TIMEOUTS)
        self.registration = Registration(
            self.services.queue_stats, name, settings.tiers, memory, settings.liveness_file
        ).start()
        self._claimed: JobSession | None = None  # and not begun
        # In a thread: these imports may exceed the four seconds that Celery gives a child to start.
        self._state = ThreadPoolExecutor(1, "open-engine").submit(self._open_state, open_engine)

    def claim_next_job(self) -> None:
        """Claim the next job, unless the worker drains, and send this worker the task that runs it."""
        signal.signal(signal.SIGTERM, lambda *_: self.drain.set())  # here: billiard resets it after the child's start
        if self.drain.is_set() or self._claimed_already():
            return
        state = self._state.result()
        if self.drain.is_set():  # it may have been set while TensorFlow was imported
            return
        self._claimed = claim_next_job(self.services, state, self.queue, self.drain)

    def _claimed_already(self) -> bool:
        """Return whether a claimed job waits for its task. No longer if it was revoked or if the task seems lost."""
        if self._claimed and time.monotonic() - self._claimed.active_at > _TASK_SECONDS:
            self._claimed.give_back()
            self._claimed = None
        if self._claimed:
            with suppress(ClaimLost, Unavailable):
                self._claimed.renew()
            if self._claimed.lost.is_set():
                self._claimed = None
        return self._claimed is not None

    def stylize(self, job_id: str, token: str) -> None:
        """Run the job that was claimed, then exit if a fresh child should replace this one.

        Raises Retry if the job has not ended, so that Celery's tools do not show that it has.
        """
        session = self._claimed
        if session is None or (session.job.id, session.token) != (job_id, token):
            take_back(self.services, job_id, token)  # the process that had the claim died before it got this message
            raise Retry(_QUEUED_AGAIN)
        self._claimed = None
        state = self._state.result()
        run_job(state, session)
        self._wake_others()
        if state.needs_replacement or state.engine.needs_restart():
            log.info("child_replaced", reason="a fresh process has more memory")
            stop_tracing()
            os._exit(EX_RECYCLE)  # Celery's parent, if there is one, starts another child
        if not session.ended:
            raise Retry(_QUEUED_AGAIN)

    def stop(self) -> None:
        """Give back what was claimed and not begun, and unregister."""
        if self._claimed:
            self._claimed.give_back()
        self.registration.stop()
        stop_tracing()

    def _open_state(self, open_engine: OpenEngine) -> WorkerState:
        configure_tracing("easel-worker", self.name)
        return WorkerState(open_engine(self.settings), self.name, self.registration, self.settings)

    def _wake_others(self) -> None:
        """Wake a worker of each tier with queued jobs; of all tiers: the tenant may now run another one."""
        stats, dispatcher = self.services.queue_stats, self.services.dispatcher
        with suppress(LedgerUnavailable):  # the reaper does the same
            for tier in {tier for worker in stats.workers() for tier in worker.tiers}.union(self.settings.tiers):
                if stats.depth(tier) and not dispatcher.pending(tier):
                    dispatcher.wake(tier)


def start(settings: Settings, name: str, open_engine: OpenEngine = open_tensorflow_engine) -> None:
    """Run a worker in this process; see `easel-worker start --help`."""
    configure_logging(settings, worker=name)
    CeleryWorker(app, settings, name, open_engine).run()
