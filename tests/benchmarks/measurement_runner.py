"""Runs one measurement after the other. An error in one is reported, and the others continue."""

import time
from collections.abc import Callable
from typing import TypeVar

from rich.console import Console

from benchmarks.figure import NotAvailable

V = TypeVar("V")


class MeasurementRunner:
    """Prints each outcome as soon as it is known, because all of them take minutes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.failed = False
        """Whether a measurement failed. One that this machine cannot make does not count."""

    def __call__(self, what: str, measure: Callable[[], V]) -> V | None:
        """Return the result of `measure`, None if it failed or is not possible here."""
        began, result = time.monotonic(), None
        try:
            result = measure()
        except NotAvailable as reason:
            self._print(f"{what}: not measured, {reason}")
        except Exception:  # noqa: BLE001 - the other measurements continue after any error
            self.failed = True
            self._console.print_exception()
            self._print(f"{what}: failed")
        else:
            self._print(f"{what}: {result} ({time.monotonic() - began:.0f} s)")
        return result

    def _print(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)
