"""The forecast of the moment, made once for all who ask."""

import threading
import time
from typing import Final

import structlog

from api.eta.forecast import Forecast
from shared.errors import EaselError
from shared.services import Services

log = structlog.get_logger(__name__)

_STALE: Final = 10
"""Lifetimes after which a forecast is worth nothing."""


class Forecaster:
    """Keeps the newest forecast, for every look at a job: it takes hundreds of records to make one."""

    def __init__(self, services: Services, lifetime: float = 1.0) -> None:
        """`lifetime` is in seconds."""
        self._ports, self.lifetime = services, lifetime
        self._kept: tuple[float, Forecast] | None = None  # and when it was begun; replaced as one: readers need no lock
        self._failed: tuple[float, EaselError] | None = None  # the last attempt that came to nothing
        self._making, self._renewing = threading.Lock(), threading.Lock()

    def now(self, *, fresh: bool = False) -> Forecast:
        """Begun at most `lifetime` ago, or the one before while another is made beside.

        `fresh` for one that knows of a job which came just now. Raises LedgerUnavailable.
        """
        asked, kept = time.monotonic(), self._kept
        oldest = asked if fresh else asked - _STALE * self.lifetime
        if kept is None or kept[0] < oldest:
            return self._since(oldest, asked)
        if asked - kept[0] >= self.lifetime and self._renewing.acquire(blocking=False):
            threading.Thread(target=self._renew, args=(asked,), name="forecast", daemon=True).start()
        return kept[1]

    def _renew(self, asked: float) -> None:
        try:
            self._since(asked, asked)
        except EaselError as error:  # whoever finds the old one stale will hear of it
            log.info("no_forecast", code=error.code)
        finally:
            self._renewing.release()

    def _since(self, oldest: float, asked: float) -> Forecast:
        """One begun no earlier than `oldest`, or the failure of an attempt begun no earlier than `asked`.

        Those who wait share what comes of it. One is made at a time, so none replaces a newer one.
        """
        with self._making:
            if self._kept and self._kept[0] >= oldest:
                return self._kept[1]
            if self._failed and self._failed[0] >= asked:
                raise self._failed[1]
            begun = time.monotonic()
            try:
                made = Forecast.of_now(self._ports)
            except EaselError as error:
                self._failed = begun, error
                raise
            self._kept = begun, made
            return made
