"""Serves the current forecast to all requests."""

from typing import Final

from api.eta.forecast import Forecast
from api.live.ttl_cache import TtlCache
from shared.services import Services

_FRESH_SECONDS: Final = 1.0
_STALE_SECONDS: Final = 9.0


class EtaService(TtlCache[Forecast]):
    """Caches the newest forecast, since a forecast reads hundreds of records. A due one is computed in the background.

    `get` waits for a forecast if the last one is too old; `peek` returns None instead.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(lambda: Forecast.current(services), fresh_seconds=_FRESH_SECONDS, stale_seconds=_STALE_SECONDS)
