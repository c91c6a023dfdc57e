"""Brings the changes of a worker's child process to its parent, which exports them.

A child may be killed at any moment, and another one takes its place. So it has no metrics of its own: each change is a
line in a pipe to the parent, written at once. What a child counted survives it, and nothing of a dead child remains.

Not prometheus_client's multiprocess mode: it keeps files of every child that ever ran, and finds its folder in an
environment variable that has to be set before the first import.
"""

import json
import os
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from shared.metrics.instruments import apply_change, redirect

_MAX_PENDING: Final = 100_000  # lines that wait while the parent does not read; then the oldest are dropped


class MetricsPipe:
    """Create it in the parent, before the fork."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._write_end, False)  # a parent that is stopped must not stop a job
        self._pending: deque[bytes] = deque(maxlen=_MAX_PENDING)
        self._lock = threading.Lock()

    def start(self) -> None:
        """Make the changes of all children, in a thread of the parent."""
        threading.Thread(target=self._run, name="metrics-pipe", daemon=True).start()

    def use_in_child(self) -> None:
        """Redirect the changes of this process to its parent."""
        os.close(self._read_end)
        self._lock = threading.Lock()
        redirect(self._send)

    def _run(self) -> None:
        with os.fdopen(self._read_end, "rb") as lines:
            for line in lines:
                apply_change(*json.loads(line))

    def _send(self, name: str, value: float, labels: Sequence[str]) -> None:
        with self._lock:
            self._pending.append(json.dumps([name, value, labels]).encode() + b"\n")
            try:
                while self._pending:
                    os.write(self._write_end, self._pending[0])  # less than PIPE_BUF, hence written whole or not at all
                    self._pending.popleft()
            except OSError:  # the pipe is full, or the parent has ended
                return
