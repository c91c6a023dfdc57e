"""Starts, restarts and stops the processes of the local stack."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from shared.process import end_with_parent

_RESTART_SECONDS: Final = 2.0


@dataclass
class Process:
    """One child process, with its output in a log file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stop_timeout: float = 15.0  # seconds from SIGTERM to SIGKILL
    _running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it in a new session, so that Ctrl-C reaches only us and we can stop the processes in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._running = subprocess.Popen(  # noqa: S603 - the stack's own commands
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509 - no threads yet
            )

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        return self._running.pid if self.alive and self._running else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.poll() is None

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL after `stop_timeout` seconds."""
        if self._running is None:
            return
        if self.alive:
            self._running.send_signal(signal.SIGTERM)
        try:
            self._running.wait(self.stop_timeout)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def log_tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """Starts processes in order, restarts them, and stops them in reverse order."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    def start(self, process: Process) -> Process:
        """Start a process and add it to the list."""
        self.processes.append(process)
        process.start()
        return process

    def watch(self, stop: threading.Event) -> None:
        """Restart processes that end, until `stop` is set."""
        while not stop.wait(_RESTART_SECONDS):
            for process in self.processes:
                if not process.alive:
                    print(f"{process.name} ended and is restarted; see {process.log}", file=sys.stderr)  # noqa: T201 - shown in the terminal
                    process.start()

    def stop(self) -> None:
        """Stop all, the last started first; the workers stop at the same time."""
        threads: list[threading.Thread] = []
        for process in reversed(self.processes):
            if threads and not process.name.startswith("worker"):
                _join(threads)
            threads.append(threading.Thread(target=process.stop))
            threads[-1].start()
        _join(threads)


def wait_until(ready: Callable[[], bool], *, seconds: float, what: str, process: Process) -> None:
    """Poll until `ready`. Raises RuntimeError with the end of the log if the process ends or it takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline or not process.alive:
            raise RuntimeError(f"{what} did not start; the end of {process.log}:\n{process.log_tail()}")
        time.sleep(0.1)


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    threads.clear()
