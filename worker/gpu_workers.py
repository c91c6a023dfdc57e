"""`easel-worker start --gpus`: one worker process per GPU, under a supervisor that uses none itself.

A worker runs one job on one GPU. The supervisor gives each its GPU by CUDA_VISIBLE_DEVICES and its own name,
restarts it when it ends without a signal, and forwards SIGTERM and SIGINT, so that all drain at the same time.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from shared.errors import GpuUnavailable
from shared.logging import configure_logging
from shared.process import end_with_parent
from shared.settings import Settings
from worker.devices.gpus import Gpu, tensorflow_supports_gpus, visible_gpus

log = structlog.get_logger(__name__)

WORKER: Final = (sys.executable, "-m", "worker", "start", "--name")
_MAX_RESTART_DELAY: Final = 60.0  # seconds
_STABLE_SECONDS: Final = 60.0  # a worker that ran so long is restarted after the shortest delay


def choose_gpus(selection: str) -> list[Gpu]:
    """Return the visible GPUs in `selection`: `all`, or nvidia-smi's numbers such as `0,2`. Raises GpuUnavailable."""
    gpus = visible_gpus()
    if not tensorflow_supports_gpus():
        raise GpuUnavailable(
            "The installed TensorFlow (tensorflow-cpu) cannot use a GPU; install "
            "deploy/locks/worker-gpu.txt into a separate virtual environment."
        )
    if not gpus:
        raise GpuUnavailable("CUDA_VISIBLE_DEVICES excludes all GPUs, or the driver lists none; see nvidia-smi.")
    return list(gpus) if selection.strip() == "all" else select_gpus(gpus, selection)


def select_gpus(gpus: Sequence[Gpu], numbers_text: str) -> list[Gpu]:
    """Return the GPUs with these numbers, separated by commas, each once. Raises GpuUnavailable."""
    by_number = {gpu.label.removeprefix("gpu"): gpu for gpu in gpus}
    numbers = dict.fromkeys(part.strip() for part in numbers_text.split(","))
    unknown = [number for number in numbers if number not in by_number]
    if unknown:
        raise GpuUnavailable(
            f"There is no GPU {', '.join(map(repr, unknown))}; "
            f"choose from {', '.join(by_number)}, separated by commas, or all."
        )
    return [by_number[number] for number in numbers]


def run(
    gpus: Sequence[Gpu],
    name: str,
    *,
    command: Sequence[str] = WORKER,
    first_delay: float = 1.0,
    metrics_port: int = 0,
) -> None:
    """Run `command` once per GPU, with `<name>-gpu0` and so on appended, until SIGTERM or SIGINT has ended all.

    Delays between restarts grow from `first_delay` seconds to a minute. The workers serve metrics at consecutive ports
    from `metrics_port` on; 0 for none.
    """
    asyncio.run(_Supervisor(gpus, name, command, first_delay, metrics_port).run())


def start(settings: Settings, name: str, selection: str) -> None:
    """Run a worker for each GPU in `selection`; see `easel-worker start --help`. Raises GpuUnavailable."""
    configure_logging(settings)
    run(choose_gpus(selection), name, metrics_port=settings.metrics_port)


class _Supervisor:
    def __init__(
        self, gpus: Sequence[Gpu], name: str, command: Sequence[str], first_delay: float, metrics_port: int
    ) -> None:
        self._gpus, self._name, self._command, self._first_delay = gpus, name, command, first_delay
        self._metrics_port = metrics_port
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Return when all workers have ended after a signal."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._forward, number)
        await asyncio.gather(*(self._keep_running(gpu) for gpu in self._gpus))

    def _forward(self, number: signal.Signals) -> None:
        log.info("stopping", signal=number.name, workers=len(self._running))
        self._stopping.set()
        for process in self._running:
            _send(process, number)

    async def _keep_running(self, gpu: Gpu) -> None:
        worker, delay = f"{self._name}-{gpu.label}", self._first_delay
        while True:
            began = time.monotonic()
            code = await self._run_once(worker, gpu)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STABLE_SECONDS:
                delay = self._first_delay
            log.error("gpu_worker_ended", worker=worker, exit_code=code, restarts_in=delay)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)
                return
            delay = min(2 * delay, _MAX_RESTART_DELAY)

    def _port_of(self, gpu: Gpu) -> str:
        return str(self._metrics_port + self._gpus.index(gpu) if self._metrics_port else 0)

    async def _run_once(self, worker: str, gpu: Gpu) -> int | None:
        """Return the exit code; None if the worker could not be started, for example for lack of memory.

        It has its own session: Ctrl-C in a terminal reaches only the supervisor, which forwards it once.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                worker,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu.uuid, "EASEL_METRICS_PORT": self._port_of(gpu)},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),
            )
        except OSError as error:
            log.error("gpu_worker_not_started", worker=worker, error=str(error))  # noqa: TRY400 - no traceback
            return None
        log.info("gpu_worker_started", worker=worker, gpu=gpu.name, pid=process.pid)
        self._running.add(process)
        if self._stopping.is_set():  # it was set during the start
            _send(process, signal.SIGTERM)
        try:
            return await process.wait()
        finally:
            self._running.discard(process)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended
        process.send_signal(number)
