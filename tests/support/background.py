"""Threads that run while a test does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def in_background(target: Callable[[threading.Event], object]) -> Iterator[None]:
    """Run `target` in a thread. It gets an event, and returns once that is set: at the end of the block."""
    stop = threading.Event()
    thread = threading.Thread(target=target, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
