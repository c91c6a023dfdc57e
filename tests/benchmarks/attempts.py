"""One measurement after another: what goes wrong with one is told, and the others go on."""

import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from benchmarks.figure import NotHere

V = TypeVar("V")


class Attempts:
    """Tells each one's outcome, for the rest takes minutes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.failed = False
        """Whether anything went wrong. What this machine lacks is no failure."""

    def __call__(self, what: str, measure: Callable[[], V]) -> V | None:
        """What `measure` found; None where it could not be had."""
        began, found = time.monotonic(), None
        try:
            found = measure()
        except NotHere as reason:
            self._tell(f"{what}: not measured, {reason}")
        except Exception:  # noqa: BLE001 - whatever it is, the other figures are still wanted
            self.failed = True
            self._console.print_exception()
            self._tell(f"{what}: failed")
        else:
            self._tell(f"{what}: {found} ({time.monotonic() - began:.0f} s)")
        return found

    def _tell(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
