"""Processes that decode uploads. One that takes too long is killed, so a file cannot block the API."""

import multiprocessing
import os
import resource
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import contextmanager
from pathlib import Path
from typing import Final, ParamSpec, Protocol, TypeVar

from flask import g
from pebble import ProcessExpired, ProcessPool

from shared.errors import BrokenImage, ImageTooLarge, ImageTooSlow
from shared.process import end_with_parent
from shared.settings import Settings

_PRELOADED: Final = ["api.imaging.inputs"]  # imported once, in the process that the others are forked from


P = ParamSpec("P")
T = TypeVar("T")


class Decode(Protocol):
    """Calls a function in one of the processes, and returns what it returns."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raise ImageTooSlow, ImageTooLarge, BrokenImage, and what the function raises."""


class Decoder:
    """A pool of processes. It starts with the first upload, and ends with this process.

    The processes are forked from one that has imported the decoders and has no threads: this one has many.
    """

    def __init__(self, settings: Settings) -> None:
        self.max_pixels = settings.max_pixels
        self._processes = settings.decode_processes
        self._seconds, self._bytes = settings.decode_seconds, settings.decode_bytes
        self._lock = threading.Condition()
        self._running: Counter[str] = Counter()  # by client
        self._pool: ProcessPool | None = None

    @contextmanager
    def slot(self) -> Iterator[Decode]:
        """Wait for a process for the current client, who can hold all but one. Files are read while it is held."""
        client: str = g.caller.name
        with self._lock:
            self._lock.wait_for(lambda: self._is_free_for(client))
            self._running[client] += 1
        try:
            yield self._run
        finally:
            with self._lock:
                self._running[client] -= 1
                self._running += Counter()  # drops zeros
                self._lock.notify_all()

    def start(self) -> ProcessPool:
        """Start the processes unless they run, and return their pool."""
        with self._lock:
            if self._pool is None:
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(_PRELOADED)
                self._pool = ProcessPool(
                    self._processes, initializer=_limit_process, initargs=[self._bytes], context=context
                )
                weakref.finalize(self, self._pool.stop)
            return self._pool

    def _is_free_for(self, client: str) -> bool:
        return self._running.total() < self._processes and self._running[client] < self._processes - 1

    def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        future = self.start().schedule(function, args=args, kwargs=kwargs, timeout=self._seconds)
        try:
            result: T = future.result()
        except FutureTimeout as error:
            raise ImageTooSlow(
                f"Decoding the image takes longer than {self._seconds:g} s. Save it again with other settings, such as "
                "a JPEG that is not progressive, or scale it down."
            ) from error
        except ProcessExpired as error:
            raise BrokenImage(
                "The image ended the process that decoded it: it is corrupt, or takes more memory than the server has. "
                "Save it again, or scale it down."
            ) from error
        except MemoryError as error:
            raise ImageTooLarge(
                f"Decoding the image takes more than {self._bytes / 2**20:,.0f} MiB of memory. Scale it down first."
            ) from error
        return result


def _limit_process(max_bytes: int) -> None:
    """Limit the memory that this process may add to what it has."""
    end_with_parent(os.getppid())
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
