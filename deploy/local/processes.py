"""Starts, watches, restarts and ends the processes of one machine's stack, each by its own id."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_RESTART_SECONDS: Final = 2.0


@dataclass
class Process:
    """One child process; its output goes to a log file."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    patience: float = 15.0  # seconds between SIGTERM and SIGKILL
    _running: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """In a session of its own: Ctrl-C in the terminal reaches us alone, and we end the others in order."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._running = subprocess.Popen(  # noqa: S603 - the stack's own commands
                self.command,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads yet
            )

    @property
    def pid(self) -> int | None:
        """While it runs."""
        return self._running.pid if self.alive and self._running else None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._running is not None and self._running.poll() is None

    def stop(self) -> None:
        """Ask; after `patience` seconds, insist."""
        if self._running is None:
            return
        if self.alive:
            self._running.send_signal(signal.SIGTERM)
        try:
            self._running.wait(self.patience)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


class Supervisor:
    """A list of processes that are started in order, kept alive, and ended in reverse order."""

    def __init__(self) -> None:
        self.processes: list[Process] = []

    def start(self, process: Process) -> Process:
        """Start one more; it ends when the others do."""
        self.processes.append(process)
        process.start()
        return process

    def watch(self, stop: threading.Event) -> None:
        """Restart whatever ends, until `stop` is set."""
        while not stop.wait(_RESTART_SECONDS):
            for process in self.processes:
                if not process.alive:
                    print(f"{process.name} ended and is started again; {process.log}", file=sys.stderr)  # noqa: T201 - the terminal is its window
                    process.start()

    def stop(self) -> None:
        """End all, the last started first; equals by name (worker-1, worker-2) at the same time."""
        threads: list[threading.Thread] = []
        for process in reversed(self.processes):
            if threads and not process.name.startswith("worker"):
                _join(threads)
            threads.append(threading.Thread(target=process.stop))
            threads[-1].start()
        _join(threads)


def wait_until(ready: Callable[[], bool], *, seconds: float, what: str, process: Process) -> None:
    """Ask a few times a second. Raises RuntimeError with the process's last words when it takes too long."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline or not process.alive:
            raise RuntimeError(f"{what} did not start; the end of {process.log}:\n{process.last_words()}")
        time.sleep(0.1)


def _join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join()
    threads.clear()


def _die_with_parent() -> None:
    """Even a kill -9 of the stack leaves no process behind (Linux only)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
