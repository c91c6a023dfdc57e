"""Processes that decode uploads and convert results. One that takes too long is killed, so no file blocks the API."""

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

from pebble import ProcessExpired, ProcessPool

from shared.errors import BrokenImage, ImageTooLarge, ImageTooSlow, ServerBusy
from shared.process import end_with_parent
from shared.settings import Settings

# Imported once, in the process that the others are forked from.
_PRELOADED: Final = ["shared.inputs.input_images", "shared.imaging.result_formats"]


P = ParamSpec("P")
T = TypeVar("T")


_WAIT_SECONDS: Final = 60
_START_SECONDS: Final = 15  # of the processes, or of one that replaces another
_MAX_TASKS: Final = 200  # of one process, so that what libraries keep does not use up its memory


class Decode(Protocol):
    """Calls a function in one of the processes, and returns what it returns."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raise ImageTooSlow, ImageTooLarge, BrokenImage, and what the function raises."""


class DecoderPool:
    """A pool of processes. It starts with the first image, and ends with this process.

    The processes are forked from one that has imported the decoders and has no threads: this one has many.
    """

    def __init__(self, settings: Settings) -> None:
        self.max_pixels = settings.max_pixels
        self._processes = settings.decode_processes
        self._seconds, self._bytes = settings.decode_seconds, settings.decode_bytes
        self._max_waiting = max(1, settings.api_threads // 4)  # of one client; half of the threads in all
        self._lock = threading.Condition()
        self._waiting: Counter[str] = Counter()  # by client, as the next
        self._running: Counter[str] = Counter()
        self._pool: ProcessPool | None = None

    @contextmanager
    def slot(self, client: str) -> Iterator[Decode]:
        """Wait for a process for a client, who can hold all but one. Files are read while it is held.

        Raises ServerBusy if too many wait, or after a minute.
        """
        with self._lock:
            full = self._waiting[client] >= self._max_waiting or self._waiting.total() >= 2 * self._max_waiting
            self._waiting[client] += 1
            free = not full and self._lock.wait_for(lambda: self._is_free_for(client), _WAIT_SECONDS)
            _decrement(self._waiting, client)
            if not free:
                raise ServerBusy("Too many images wait to be decoded. Try again later.")
            self._running[client] += 1
        try:
            yield self._run
        finally:
            with self._lock:
                _decrement(self._running, client)
                self._lock.notify_all()

    def start(self) -> ProcessPool:
        """Start the processes unless they run, and return their pool."""
        with self._lock:
            if self._pool is None or not self._pool.active:  # a process that was killed while idle breaks it
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(_PRELOADED)
                self._pool = ProcessPool(self._processes, _MAX_TASKS, _limit_process, [self._bytes], context)
                weakref.finalize(self, self._pool.stop)
            return self._pool

    def stop(self) -> None:
        """End the processes. The next image starts others."""
        with self._lock:
            if self._pool is not None:
                self._pool.stop()  # type: ignore[no-untyped-call]  # of pebble

    def _is_free_for(self, client: str) -> bool:
        return self._running.total() < self._processes and self._running[client] < self._processes - 1

    def _run(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return self._call(function, *args, **kwargs)
        except RuntimeError:
            if self._pool is None or self._pool.active:
                raise
            return self._call(function, *args, **kwargs)  # in a new pool

    def _call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        pool = self.start()
        future = pool.schedule(function, args=args, kwargs=kwargs, timeout=self._seconds)
        try:
            result: T = future.result(self._seconds + _START_SECONDS)
        except FutureTimeout as error:
            if not future.done():  # a process was killed while it held the lock of the others
                pool.stop()  # type: ignore[no-untyped-call]  # of pebble
                raise ServerBusy("The processes that decode images were started again. Try again.") from error
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


def _decrement(counter: Counter[str], client: str) -> None:
    counter[client] -= 1
    if not counter[client]:
        del counter[client]


def _limit_process(max_bytes: int) -> None:
    """Limit the memory that this process may add to what it has."""
    end_with_parent(os.getppid())
    if sys.platform != "linux":
        return
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + max_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
