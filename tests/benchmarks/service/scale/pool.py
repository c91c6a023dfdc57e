"""`python -m benchmarks.service.scale.pool`: real workers with a sleeping engine, each in its own network namespace.

They are forked from a process that has imported everything, because the imports would take each a second and a half.
Standard input has a line for each request, `start NAME NAMESPACE` or `stop NAME`; standard output has a JSON line for
each worker that has ended: its name, exit code, and the seconds since it was asked to stop.
"""

import ctypes
import json
import os
import select
import signal
import sys
import time
from typing import Final

from chaos.stack.engine import SleepingEngine

from benchmarks.service.scale.network import namespace_path
from shared.process import end_with_parent
from shared.settings import Settings
from worker import celery_app

STEP_SECONDS: Final = 0.4
_POLL_SECONDS: Final = 0.02
_CLONE_NEWNET: Final = 0x40000000  # linux/sched.h
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Pool:
    """The running workers. There are no threads, so that a fork copies no lock that one of them holds."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._stopped_at: dict[int, float] = {}

    def start(self, name: str, namespace: str) -> None:
        """Fork a worker."""
        parent = os.getpid()
        if pid := os.fork():
            self._names[pid] = name
            return
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        end_with_parent(parent)
        enter(namespace)
        celery_app.start(Settings(), name, lambda _: SleepingEngine(None, STEP_SECONDS))
        os._exit(0)

    def stop(self, name: str) -> None:
        """Send SIGTERM."""
        (pid,) = (pid for pid, running in self._names.items() if running == name)
        self._stopped_at[pid] = time.monotonic()
        os.kill(pid, signal.SIGTERM)

    def report_ended(self) -> None:
        """Print a line for each worker that has ended."""
        while self._names and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            seconds = time.monotonic() - self._stopped_at.get(pid, time.monotonic())
            line = {"name": self._names.pop(pid), "code": os.waitstatus_to_exitcode(status), "seconds": seconds}
            print(json.dumps(line), flush=True)  # noqa: T201 - the protocol


def enter(namespace: str) -> None:
    """Move this process to a network namespace. Raises OSError. (os.setns needs Python 3.12.)"""
    with namespace_path(namespace).open() as file:
        if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {namespace} failed")


def main() -> None:
    """Serve until the end of standard input, which kills all workers."""
    pool, received = Pool(), b""
    while True:
        if select.select([sys.stdin], [], [], _POLL_SECONDS)[0]:
            if not (data := os.read(sys.stdin.fileno(), 65536)):
                os.killpg(0, signal.SIGKILL)
            *lines, received = (received + data).split(b"\n")
            for line in lines:
                request, *arguments = line.decode().split()
                if request == "start":
                    pool.start(*arguments)
                else:
                    pool.stop(*arguments)
        pool.report_ended()


if __name__ == "__main__":
    main()
