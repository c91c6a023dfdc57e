"""A cache of thumbnails and time-lapses, which the gallery requests often."""

import threading
from contextlib import suppress
from typing import Final

from cachetools import LRUCache

_MAX_BYTES: Final = 16 * 2**20


class ThumbnailCache:
    """The most recently used files, up to a total size. A name always refers to the same bytes."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._files: LRUCache[str, bytes] = LRUCache(max_bytes, getsizeof=len)
        self._lock = threading.Lock()  # cachetools has none

    def get(self, name: str) -> bytes | None:
        """Return the file, or None if it is not cached."""
        with self._lock:
            return self._files.get(name)

    def put(self, name: str, data: bytes) -> bytes:
        """Cache a file, unless it is larger than the cache, and return it."""
        with self._lock, suppress(ValueError):
            self._files[name] = data
        return data
