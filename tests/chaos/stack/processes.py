"""Processes that are restarted whenever they end."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

from shared.process import end_with_parent

_CRASH_PAUSE_SECONDS: Final = 0.3


class RestartingProcess:
    """One process of the stack, restarted by a thread until `stop`.

    The thread lives as long as the process, because Linux ends a child with the thread that started it. Output goes
    through a pipe to the log, so that a process whose file size is limited can still write logs.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._environment = command, environment
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._keep_running, self._paused = True, 0
        self.starts = 0
        self._thread = threading.Thread(target=self._run, name=f"restart {name}", daemon=True)

    def start(self) -> "RestartingProcess":
        """Start the process, and restart it whenever it ends."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        reading, self._output = os.pipe()
        threading.Thread(target=_drain, args=(reading, self.log), daemon=True).start()
        self._thread.start()
        return self

    @property
    def pid(self) -> int | None:
        """The process id while it runs, else None."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def send(self, number: int, *, group: bool = False) -> bool:
        """Send a signal to it, or to its whole process group; return False if it does not run."""
        pid = self.pid
        with suppress(ProcessLookupError):
            if pid:
                (os.killpg if group else os.kill)(pid, number)
                return True
        return False

    def children(self) -> list[int]:
        """Return the ids of its child processes."""
        return children(self.pid) if self.pid else []

    @contextmanager
    def without_restarts(self) -> Iterator[None]:
        """Do not restart it during the block."""
        with self._changed:
            self._paused += 1
        try:
            yield
        finally:
            with self._changed:
                self._paused -= 1
                self._changed.notify_all()

    def wait_for_exit(self, pid: int, seconds: float) -> bool:
        """Wait for the process `pid` to end; return whether it did in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.pid != pid, seconds)

    def stop(self) -> None:
        """Kill it and do not restart it."""
        with self._changed:
            self._keep_running = False
            self._changed.notify_all()
        self.send(signal.SIGKILL, group=True)
        self._thread.join()
        os.close(self._output)

    def _run(self) -> None:
        while self._may_start():
            began = time.monotonic()
            process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                preexec_fn=partial(end_with_parent, os.getpid()),  # noqa: PLW1509 - it makes one system call
            )
            with self._changed:
                self._process = process
                self.starts += 1
                self._changed.notify_all()
            if not self._keep_running:
                process.kill()
            process.wait()
            with self._changed:
                self._changed.notify_all()
            if process.returncode > 0 and time.monotonic() - began < 1:
                time.sleep(_CRASH_PAUSE_SECONDS)

    def _may_start(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: not self._paused or not self._keep_running)
            return self._keep_running


def children(pid: int) -> list[int]:
    """Return the ids of a process's children."""
    return [child for child, parent in parents().items() if parent == pid]


def tree(pid: int) -> list[int]:
    """Return the ids of a process and all its descendants."""
    parent_of, pids = parents(), [pid]
    for ancestor in pids:
        pids += [child for child, parent in parent_of.items() if parent == ancestor]
    return pids


def parents() -> dict[int, int]:
    """Return every process's parent, without zombies."""
    parent_of = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parent_of[int(stat.parent.name)] = int(parent)
    return parent_of


def kill_marked(mark: str) -> None:
    """Kill every process with `mark` in its environment, which includes orphans."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in environ.read_bytes().split(b"\0"):
                os.kill(int(environ.parent.name), signal.SIGKILL)


def _drain(reading: int, log: Path) -> None:
    with open(reading, "rb", buffering=0) as pipe, log.open("ab", buffering=0) as file:
        while data := pipe.read(65536):
            file.write(data)
