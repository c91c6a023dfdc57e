"""Runs the same small work for many jobs, most of which is to wait for the blob store."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
_THREADS: Final = 8


def for_each(items: Iterable[T], call: Callable[[T], object]) -> None:
    """Call with each item, in a few threads, in order as far as these allow. Raises the first error."""
    with ThreadPoolExecutor(_THREADS, "for-each") as threads:
        for _ in threads.map(call, items):
            pass
