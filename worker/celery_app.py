"""The worker process: Celery's prefork pool with one child that runs jobs, and the signals between parent and child.

TensorFlow is imported in the child only: if it runs in the parent, every fork hangs. On SIGTERM Celery's parent waits
for the child's task, which may take an hour. So the parent forwards the signal, and the child drains.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import billiard.pool
import billiard.util
import structlog
from billiard.einfo import ExceptionInfo
from billiard.pool import EX_RECYCLE
from celery import Celery
from celery.signals import (
    setup_logging,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from celery.worker.request import Request
from celery.worker.state import task_ready

from shared.dispatch import WAKE_UP_TASK, create_celery_app, queue_name
from shared.errors import LedgerUnavailable
from shared.logging import configure_logging
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import LONG_TIMEOUTS
from worker.consumer_watchdog import ConsumerWatchdog, end_process
from worker.devices.memory import WorkerMemory, expected_memory
from worker.job.next_job import run_next_job
from worker.job.worker_state import WorkerState
from worker.protocols import Engine
from worker.registration import Registration

log = structlog.get_logger(__name__)

OpenEngine = Callable[[Settings], Engine]


def open_tensorflow_engine(settings: Settings) -> Engine:
    """Return the engine that renders. Call it in the child only."""
    from worker.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415 - it imports TensorFlow

    return TensorFlowEngine(settings)


class WakeUpRequest(Request):
    """The wake-up task in Celery's parent. It succeeds if its child exits to be replaced."""

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> None:
        """Treat a child's planned exit as success; Celery would report a failure."""
        if f"exitcode {EX_RECYCLE} " in str(exc_info.exception):
            return task_ready(self)
        return super().on_failure(exc_info, *args, **kwargs)


class CeleryWorker:
    """The wiring in Celery's parent. `child` is set in the child only."""

    def __init__(self, settings: Settings, name: str, open_engine: OpenEngine = open_tensorflow_engine) -> None:
        self.settings, self.name, self.open_engine = settings, name, open_engine
        # In the parent: NVIDIA's driver may take seconds to respond, and Celery gives a child four seconds to start.
        self.memory = expected_memory(settings.memory_bytes, settings.memory_share)
        self.app: Celery = create_celery_app(settings)
        self.app.task(name=WAKE_UP_TASK, Request=WakeUpRequest)(self.run_next_job)
        self.child: Child | None = None
        self._consumer: Any = None
        setup_logging.connect(self._keep_logging, weak=False)
        worker_process_init.connect(self._start_child, weak=False)
        worker_process_shutdown.connect(self._stop_child, weak=False)
        worker_ready.connect(self._on_ready, weak=False)
        worker_shutting_down.connect(self._forward_sigterm, weak=False)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self.app.worker_main(["--quiet", "worker", *self.options()])

    def options(self) -> list[str]:
        """Return the options for Celery's command line: one child, this worker's tiers, no events between workers."""
        queues = ",".join(queue_name(tier) for tier in self.settings.tiers)
        pool = ["--pool=prefork", "--concurrency=1", f"--queues={queues}", f"--hostname={self.name}"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*pool, *quiet]

    def run_next_job(self) -> None:
        """Run the next job, if there is one; the body of the wake-up task."""
        if self.child:
            self.child.run_next_job()

    def _keep_logging(self, **_: Any) -> None:
        """Keep Easel's logging: a receiver of this signal replaces Celery's own."""
        pool_log = billiard.util.get_logger()
        pool_log.propagate = True  # it reports children that died
        pool_log.setLevel(logging.ERROR)

    def _start_child(self, **_: Any) -> None:
        # A child waits until the parent has read its results: 300 times 0.1 s. If SIGTERM arrives as a task starts, the
        # parent has forgotten the task and never reads them. A wake-up has no result, so a second is enough.
        billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10
        self.child = Child(self.settings, self.name, self.memory, self.open_engine)

    def _stop_child(self, **_: Any) -> None:
        if self.child:
            self.child.registration.stop()

    def _on_ready(self, sender: Any, **_: Any) -> None:
        self._consumer = sender
        ConsumerWatchdog(open_services(self.settings), end_process).start()

    def _forward_sigterm(self, **_: Any) -> None:
        for process in self._consumer.pool.info["processes"] if self._consumer else ():
            os.kill(process, signal.SIGTERM)


class Child:
    """The process that runs jobs."""

    def __init__(self, settings: Settings, name: str, memory: WorkerMemory, open_engine: OpenEngine) -> None:
        self.settings, self.name = settings, name
        self.drain = threading.Event()
        self.services: Services = open_services(settings, LONG_TIMEOUTS)
        self.registration = Registration(self.services.queue_stats, name, settings.tiers, memory).start()
        # In a thread: TensorFlow's import may exceed the four seconds that Celery gives a child to start.
        self._state = ThreadPoolExecutor(1, "open-engine").submit(self._open_state, open_engine)

    def run_next_job(self) -> None:
        """Run the next job, if there is one and the worker does not drain; exit if a fresh child should replace it."""
        signal.signal(signal.SIGTERM, lambda *_: self.drain.set())  # here: billiard resets it after the child's start
        if self.drain.is_set():
            return
        state = self._state.result()
        if self.drain.is_set():  # it may have been set while TensorFlow was imported
            return
        if run_next_job(self.services, state, self.drain):
            self._wake_others()
        if state.needs_replacement or state.engine.needs_restart():
            log.info("child_replaced", reason="a fresh process has more memory")
            os._exit(EX_RECYCLE)  # Celery's parent, if there is one, starts another child

    def _open_state(self, open_engine: OpenEngine) -> WorkerState:
        return WorkerState(open_engine(self.settings), self.name, self.registration, self.settings)

    def _wake_others(self) -> None:
        with suppress(LedgerUnavailable):  # the reaper does the same
            for tier in self.settings.tiers:
                if self.services.queue_stats.depth(tier) and not self.services.dispatcher.pending(tier):
                    self.services.dispatcher.wake(tier)


def start(settings: Settings, name: str, open_engine: OpenEngine = open_tensorflow_engine) -> None:
    """Run a worker in this process; see `easel-worker start --help`."""
    configure_logging(settings, worker=name)
    CeleryWorker(settings, name, open_engine).run()
