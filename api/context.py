"""The state of one app that its views share."""

import re
import threading
from dataclasses import dataclass, field
from typing import Final, Self

from flask import current_app

from api.eta.forecast import Forecast
from api.http.callers import Callers
from api.http.limits import StreamLimits
from api.imaging.thumbnails import ThumbnailCache
from api.live.event_hub import EventHub
from api.live.snapshot_batcher import SnapshotBatcher
from api.live.ttl_cache import TtlCache, TtlCaches
from shared.errors import InvalidJobId
from shared.inputs.decoder_pool import DecoderPool
from shared.services import Services
from shared.settings import Settings
from shared.tenants.quotas import Quotas

_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Context:
    """Settings, services and everything that lives as long as the app."""

    settings: Settings
    services: Services
    callers: Callers
    quotas: TtlCaches[Quotas]
    stream_limits: StreamLimits
    eta: TtlCache[Forecast]
    snapshots: SnapshotBatcher
    event_hub: EventHub
    decoder: DecoderPool
    queue_messages: TtlCaches[tuple[str, str]] = field(init=False)
    """The queue for all who watch it, by tenant: see api/routes/queue.py."""
    thumbnails: ThumbnailCache = field(default_factory=ThumbnailCache)
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server shuts down, so that streams end."""
    confirmed_ledger_id: str | None = None
    """The ledger's id once it is known to belong to the blob store: see api/routes/health.py."""
    store_confirmed_at: float = float("-inf")
    """When the blob store was last found to be that of the ledger (time.monotonic)."""

    @classmethod
    def current(cls) -> Self:
        """Return the context of the current request's app."""
        context: Self = current_app.extensions["easel"]
        return context


def parse_uuid(text: str) -> str:
    """Return the UUID in lower case, as in the ledger. Raises ValueError with what it must be."""
    if not _UUID.fullmatch(text.lower()):
        raise ValueError("must be a UUID such as 0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88")
    return text.lower()


def parse_job_id(text: str) -> str:
    """Return the ID in lower case, as in the ledger. Raises InvalidJobId."""
    try:
        return parse_uuid(text)
    except ValueError as error:
        raise InvalidJobId(f"A job ID {error}.") from error
