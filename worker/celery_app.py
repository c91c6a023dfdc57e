"""The worker process: Celery's prefork pool with one child, which hears bells, and the signals between them.

TensorFlow is imported in the child only: executed in the parent, it hangs every fork. On SIGTERM Celery's
parent waits for its child's job, which may take an hour: so it forwards the signal, and the child drains.
"""

import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import structlog
from billiard.einfo import ExceptionInfo
from billiard.pool import EX_RECYCLE
from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready, worker_shutting_down
from celery.worker.request import Request
from celery.worker.state import task_ready

from shared.dispatch import BELL, celery_app, queue_name
from shared.errors import LedgerUnavailable
from shared.logging import configure_logging
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import PATIENT
from worker.consumer_watchdog import Vigil, end_this_process
from worker.devices.memory import WorkerMemory, expected_memory
from worker.job.run import work
from worker.job.worker_state import Studio
from worker.protocols import Engine
from worker.registration import Presence

log = structlog.get_logger(__name__)

OpenEngine = Callable[[Settings], Engine]


def vgg19(settings: Settings) -> Engine:
    """The engine that paints. Called in the child only."""
    from worker.tensorflow_engine import Vgg19  # noqa: PLC0415 - TensorFlow comes with it

    return Vgg19(settings)


class Bell(Request):
    """As the parent sees it. One whose child made way for a fresh one is done: to Celery it would be an error."""

    def on_failure(self, exc_info: ExceptionInfo, *args: Any, **kwargs: Any) -> None:
        """As Celery says."""
        if f"exitcode {EX_RECYCLE} " in str(exc_info.exception):
            return task_ready(self)
        return super().on_failure(exc_info, *args, **kwargs)


class Worker:
    """The parent's wiring; `child` exists after the fork only."""

    def __init__(self, settings: Settings, name: str, open_engine: OpenEngine = vgg19) -> None:
        self.settings, self.name, self.open_engine = settings, name, open_engine
        # Asked in the parent: NVIDIA's driver may take seconds to answer, and a child has four to begin.
        self.memory = expected_memory(settings.memory_bytes, settings.memory_share)
        self.app: Celery = celery_app(settings)
        self.app.task(name=BELL, Request=Bell)(self.hear)
        self.child: Child | None = None
        self._parent: Any = None
        worker_process_init.connect(self._begin_child, weak=False)
        worker_process_shutdown.connect(self._end_child, weak=False)
        worker_ready.connect(self._remember, weak=False)
        worker_shutting_down.connect(self._forward, weak=False)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        self.app.worker_main(["worker", *self.options()])

    def options(self) -> list[str]:
        """For Celery's own command line: one child, this worker's tiers, and none of the chatter between workers."""
        queues = ",".join(queue_name(tier) for tier in self.settings.tiers)
        pool = ["--pool=prefork", "--concurrency=1", f"--queues={queues}", f"--hostname={self.name}"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return [*pool, *quiet, f"--loglevel={self.settings.log_level}"]

    def hear(self) -> None:
        """There is work, perhaps: do one job, and pass the bell on if more wait."""
        if self.child:
            self.child.hear()

    def _begin_child(self, **_: Any) -> None:
        configure_logging(self.settings)
        self.child = Child(self.settings, self.name, self.memory, self.open_engine)

    def _end_child(self, **_: Any) -> None:
        if self.child:
            self.child.presence.close()

    def _remember(self, sender: Any, **_: Any) -> None:
        self._parent = sender
        Vigil(open_services(self.settings), end_this_process).begin()

    def _forward(self, **_: Any) -> None:
        for process in self._parent.pool.info["processes"] if self._parent else ():
            os.kill(process, signal.SIGTERM)


class Child:
    """The process that paints."""

    def __init__(self, settings: Settings, name: str, memory: WorkerMemory, open_engine: OpenEngine) -> None:
        self.settings, self.name = settings, name
        self.drain = threading.Event()
        self.services: Services = open_services(settings, PATIENT)
        self.presence = Presence(self.services.queue_stats, name, settings.tiers, memory).open()
        self._studio: Studio | None = None
        # Celery gives a child four seconds to begin, which TensorFlow's import may exceed: so it runs beside.
        self._engine = ThreadPoolExecutor(1, "warm-up").submit(open_engine, settings)

    def hear(self) -> None:
        """Do one job, if one waits and we are not leaving."""
        signal.signal(signal.SIGTERM, lambda *_: self.drain.set())  # here: billiard resets it after the child's start
        if self.drain.is_set():
            return
        self._studio = self._studio or self._begin_studio()
        if self.drain.is_set():  # TensorFlow took its time
            return
        if work(self.services, self._studio, self.drain):
            self._pass_on()
        if self._studio.spent or self._studio.engine.worn():
            log.info("replaced", why="a fresh process has more memory")
            os._exit(EX_RECYCLE)  # Celery's parent, if there is one, starts another child

    def _begin_studio(self) -> Studio:
        return Studio(self._engine.result(), self.name, self.presence, self.settings)

    def _pass_on(self) -> None:
        with suppress(LedgerUnavailable):  # the reaper rings, too
            for tier in self.settings.tiers:
                if self.services.queue_stats.depth(tier) and not self.services.dispatcher.pending(tier):
                    self.services.dispatcher.wake(tier)


def start(settings: Settings, name: str, open_engine: OpenEngine = vgg19) -> None:
    """Run a worker in this process; see `easel-worker start --help`."""
    configure_logging(settings)
    Worker(settings, name, open_engine).run()
