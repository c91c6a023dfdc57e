"""What many ask for at once, made once."""

import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from shared.errors import EaselError

T = TypeVar("T")
_NEVER: Final = float("-inf")


class Lately(Generic[T]):
    """Keeps what was made, or the reason why not, for a moment; whoever asks meanwhile gets the same."""

    def __init__(self, lifetime: float = 0.9) -> None:
        """`lifetime` is in seconds."""
        self._lifetime = lifetime
        self._making = threading.Lock()
        self._made_at = _NEVER
        self._made: T | EaselError

    def get(self, make: Callable[[], T]) -> T:
        """Raises what `make` raises."""
        with self._making:
            if time.monotonic() - self._made_at >= self._lifetime:
                self._made = _outcome(make)
                self._made_at = time.monotonic()
            made = self._made
        if isinstance(made, EaselError):
            raise made
        return made


def _outcome(make: Callable[[], T]) -> T | EaselError:
    try:
        return make()
    except EaselError as error:
        return error
