"""Processes that are started again the moment they end, whoever ended them."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from deploy.local.processes import _die_with_parent

_CRASH_PAUSE_SECONDS: Final = 0.3


class Kept:
    """One process of the stack, kept alive by a thread of its own until it is let go.

    The thread lives as long as the process: Linux ends a child with the thread that started it. Output goes
    through a pipe that we drain, so that a process whose files may not grow can still speak.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.name, self.log = name, log
        self._command, self._environment = command, environment
        self._changed = threading.Condition()
        self._process: subprocess.Popen[bytes] | None = None
        self._wanted, self._held = True, 0
        self.starts = 0
        self._thread = threading.Thread(target=self._keep, name=f"keep {name}", daemon=True)

    def start(self) -> "Kept":
        """Start it, and again whenever it ends."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        reading, self._output = os.pipe()
        threading.Thread(target=_drain, args=(reading, self.log), daemon=True).start()
        self._thread.start()
        return self

    @property
    def pid(self) -> int | None:
        """While it runs."""
        process = self._process
        return process.pid if process and process.returncode is None else None

    def send(self, number: int, *, group: bool = False) -> bool:
        """A signal to it, or to it and all its children; False where it does not run."""
        pid = self.pid
        with suppress(ProcessLookupError):
            if pid:
                (os.killpg if group else os.kill)(pid, number)
                return True
        return False

    def children(self) -> list[int]:
        """Of the process at hand."""
        return children(self.pid) if self.pid else []

    @contextmanager
    def held(self) -> Iterator[None]:
        """Not started again meanwhile."""
        with self._changed:
            self._held += 1
        try:
            yield
        finally:
            with self._changed:
                self._held -= 1
                self._changed.notify_all()

    def wait_for_exit(self, pid: int, seconds: float) -> bool:
        """Whether this one ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self.pid != pid, seconds)

    def stop(self) -> None:
        """End it for good, and at once."""
        with self._changed:
            self._wanted = False
            self._changed.notify_all()
        self.send(signal.SIGKILL, group=True)
        self._thread.join()
        os.close(self._output)

    def _keep(self) -> None:
        while self._may_start():
            began = time.monotonic()
            process = subprocess.Popen(
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it makes one system call
            )
            with self._changed:
                self._process = process
                self.starts += 1
                self._changed.notify_all()
            if not self._wanted:
                process.kill()
            process.wait()
            with self._changed:
                self._changed.notify_all()
            if process.returncode > 0 and time.monotonic() - began < 1:
                time.sleep(_CRASH_PAUSE_SECONDS)

    def _may_start(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: not self._held or not self._wanted)
            return self._wanted


def children(pid: int) -> list[int]:
    """The ids of a process's children."""
    return [child for child, parent in parents().items() if parent == pid]


def tree(pid: int) -> list[int]:
    """A process and all that descend from it."""
    known, found = parents(), [pid]
    for one in found:
        found += [child for child, parent in known.items() if parent == one]
    return found


def parents() -> dict[int, int]:
    """Every living process's parent; one that is dead and not yet buried does not live."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(stat.parent.name)] = int(parent)
    return found


def end_marked(mark: str) -> None:
    """Kill -9 every process that has `mark` in its environment: orphans are in nobody's list."""
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in environ.read_bytes().split(b"\0"):
                os.kill(int(environ.parent.name), signal.SIGKILL)


def _drain(reading: int, log: Path) -> None:
    with open(reading, "rb", buffering=0) as pipe, log.open("ab", buffering=0) as file:
        while data := pipe.read(65536):
            file.write(data)
