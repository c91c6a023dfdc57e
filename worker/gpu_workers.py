"""`easel-worker start --gpus`: one worker process per GPU, under a supervisor that uses none itself.

A worker runs one job on one GPU. The supervisor gives each its GPU by CUDA_VISIBLE_DEVICES and a name of its own,
starts it again when it ends unasked, and passes SIGTERM and SIGINT on, so that all drain at the same time.
"""

import asyncio
import ctypes
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
from shared.settings import Settings
from worker.devices.gpus import Gpu, tensorflow_supports_gpus, visible_gpus

log = structlog.get_logger(__name__)

WORKER: Final = (sys.executable, "-m", "worker", "start", "--name")
_LONGEST_PAUSE: Final = 60.0  # seconds between restarts
_STEADY_SECONDS: Final = 60.0  # what lasted so long is started again after the shortest pause

_LIBC: Final = ctypes.CDLL(None)  # loaded here, since little is safe between fork and exec
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def choose_gpus(wanted: str) -> list[Gpu]:
    """The visible GPUs that `--gpus` names: `all`, or nvidia-smi's numbers such as `0,2`. Raises GpuUnavailable."""
    gpus = visible_gpus()
    if not tensorflow_supports_gpus():
        raise GpuUnavailable(
            "The TensorFlow that is installed here (tensorflow-cpu) cannot use a GPU; install "
            "deploy/locks/worker-gpu.txt into a virtual environment of its own."
        )
    if not gpus:
        raise GpuUnavailable("CUDA_VISIBLE_DEVICES leaves no GPU, or the driver lists none; see nvidia-smi.")
    return list(gpus) if wanted.strip() == "all" else numbered(gpus, wanted)


def numbered(gpus: Sequence[Gpu], wanted: str) -> list[Gpu]:
    """Those of these numbers, each once. Raises GpuUnavailable."""
    known = {gpu.label.removeprefix("gpu"): gpu for gpu in gpus}
    numbers = dict.fromkeys(part.strip() for part in wanted.split(","))
    unknown = [number for number in numbers if number not in known]
    if unknown:
        raise GpuUnavailable(
            f"There is no GPU {', '.join(map(repr, unknown))} here; "
            f"choose from {', '.join(known)}, separated by commas, or all."
        )
    return [known[number] for number in numbers]


def run(gpus: Sequence[Gpu], name: str, *, command: Sequence[str] = WORKER, first_pause: float = 1.0) -> None:
    """Run `command` with `<name>-gpu0` appended, and so on, one process per GPU, until SIGTERM or SIGINT ended all.

    Pauses between restarts grow from `first_pause` seconds to a minute.
    """
    asyncio.run(_Supervisor(gpus, name, command, first_pause).run())


def start(settings: Settings, name: str, wanted: str) -> None:
    """Run a worker for each GPU that `wanted` names; see `easel-worker start --help`. Raises GpuUnavailable."""
    configure_logging(settings)
    run(choose_gpus(wanted), name)


class _Supervisor:
    def __init__(self, gpus: Sequence[Gpu], name: str, command: Sequence[str], first_pause: float) -> None:
        self._gpus, self._name, self._command, self._first_pause = gpus, name, command, first_pause
        self._running: set[asyncio.subprocess.Process] = set()
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Returns when all have ended after a signal."""
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
        worker, pause = f"{self._name}-{gpu.label}", self._first_pause
        while True:
            began = time.monotonic()
            code = await self._run_once(worker, gpu)
            if self._stopping.is_set():
                return
            if time.monotonic() - began > _STEADY_SECONDS:
                pause = self._first_pause
            log.error("gpu_worker_ended", worker=worker, exit_code=code, starts_again_in=pause)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _run_once(self, worker: str, gpu: Gpu) -> int | None:
        """Its exit code; None where it could not be started, for want of memory or processes for example.

        In a session of its own: a terminal's Ctrl-C reaches the supervisor alone, which passes it on once.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                worker,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": gpu.uuid},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=partial(_end_with_parent, os.getpid()) if sys.platform == "linux" else None,
            )
        except OSError as error:
            log.error("gpu_worker_not_started", worker=worker, error=str(error))  # noqa: TRY400 - no traceback
            return None
        log.info("gpu_worker_started", worker=worker, gpu=gpu.name, pid=process.pid)
        self._running.add(process)
        if self._stopping.is_set():  # since the process was asked for
            _send(process, signal.SIGTERM)
        try:
            return await process.wait()
        finally:
            self._running.discard(process)


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has ended already
        process.send_signal(number)


def _end_with_parent(parent: int) -> None:
    """Should the supervisor be killed, its workers drain (Linux only)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was killed before this process asked for the signal, which will not come
        os._exit(1)
