"""What every view needs, kept with the app."""

import re
import threading
from dataclasses import dataclass, field
from typing import Final

from flask import current_app

from api.eta.service import Forecaster
from api.http.limits import Watchers
from api.imaging.thumbnails import Thumbnails
from api.live.event_hub import News
from api.live.snapshot_batcher import Lookout
from api.live.ttl_cache import Lately
from shared.errors import InvalidJobId
from shared.services import Services
from shared.settings import Settings

_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass
class Context:
    """One app's share of the world."""

    settings: Settings
    services: Services
    watchers: Watchers
    forecaster: Forecaster
    lookout: Lookout
    news: News
    glances: Lately[tuple[str, str]] = field(default_factory=Lately)
    """At the queue, for all who watch it (api/routes/queue.py)."""
    thumbnails: Thumbnails = field(default_factory=Thumbnails)
    stopping: threading.Event = field(default_factory=threading.Event)
    """Set when the server shuts down, so that streams end."""
    known_identity: str | None = None
    """Of the ledger, once it and the blob store were found to belong together (api/routes/health.py)."""


def here() -> Context:
    """The context of the request at hand."""
    context: Context = current_app.extensions["easel"]
    return context


def valid_id(text: str) -> str:
    """The id as the ledger writes it. Raises InvalidJobId."""
    canonical = text.lower()
    if not _UUID.fullmatch(canonical):
        raise InvalidJobId("A job's id is a UUID such as 0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88.")
    return canonical
