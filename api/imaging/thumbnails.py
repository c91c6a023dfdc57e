"""Small pictures and films, kept for the next who looks: a wall shows each of them again and again."""

import threading
from collections import OrderedDict


class Thumbnails:
    """Those asked for last, within so many bytes; a name stands for the same bytes for ever."""

    def __init__(self, most_bytes: int = 16 * 2**20) -> None:
        self._room = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()  # what was asked for last stands last
        self._changing = threading.Lock()

    def find(self, name: str) -> bytes | None:
        """What was kept under this name, if it still is."""
        with self._changing:
            found = self._kept.get(name)
            if found is not None:
                self._kept.move_to_end(name)
        return found

    def keep(self, name: str, picture: bytes) -> bytes:
        """The same bytes; what was not asked for longest makes room for them."""
        with self._changing:
            if name not in self._kept:
                self._kept[name] = picture
                self._room -= len(picture)
            while self._room < 0:
                self._room += len(self._kept.popitem(last=False)[1])
        return picture
