"""Opens every outside part from the settings. What the API and the workers are handed."""

import json
import secrets
from dataclasses import dataclass
from typing import Final

from shared.dispatch import Bells, celery_app
from shared.errors import BlobMissing, BlobsUnavailable, LedgerUnavailable
from shared.jobs.events import Events
from shared.jobs.filmstrip import Filmstrip
from shared.jobs.run_history import Experience
from shared.ledger.job_snapshot import Sights
from shared.ledger.ledger import Ledger
from shared.ledger.outbox import Outbox
from shared.ledger.queue_stats import Overview
from shared.redis_client import connect
from shared.revoked_sessions import SignedOut
from shared.settings import Settings
from shared.storage import HASTY, Blobs, Patience, S3Options, open_blobs

IDENTITY_KEY: Final = "ledger.json"


@dataclass(frozen=True)
class Ports:
    """The outside world. Open anew after a fork."""

    settings: Settings
    ledger: Ledger
    events: Events
    filmstrip: Filmstrip
    overview: Overview
    sights: Sights
    outbox: Outbox
    experience: Experience
    signed_out: SignedOut
    blobs: Blobs
    bells: Bells


def open_ports(settings: Settings, patience: Patience = HASTY) -> Ports:
    """Connect lazily: nothing is asked of Redis or the blob store yet. `patience` is with a remote blob store."""
    client = connect(settings.redis_url)
    s3 = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        path_style=settings.s3_path_style,
        patience=patience,
    )
    return Ports(
        settings=settings,
        ledger=Ledger(client),
        events=Events(client),
        filmstrip=Filmstrip(client),
        overview=Overview(client),
        sights=Sights(client),
        outbox=Outbox(client),
        experience=Experience(client),
        signed_out=SignedOut(client),
        blobs=open_blobs(settings.store_url, s3),
        bells=Bells(celery_app(settings), client),
    )


def establish(ports: Ports) -> bool:
    """Make sure that this Redis and this blob store belong together; a new pair is married here.

    False where Redis lost its memory: then `easel-worker reconcile` or the reaper rebuilds it first.
    Raises LedgerUnavailable where each belongs to another, BlobsUnavailable where the store has lost its blobs.
    """
    here, there = ports.ledger.identity(), stored_identity(ports.blobs)
    if there is None:
        if here is not None and ports.ledger.list(limit=1):
            raise BlobsUnavailable("The blob store is empty, but the queue has jobs; is its disk mounted?")
        here = ports.ledger.adopt(here or secrets.token_hex(16))
        ports.blobs.put(IDENTITY_KEY, json.dumps({"id": here}).encode(), content_type="application/json")
        return True
    if here is not None and here != there:
        raise LedgerUnavailable(
            "EASEL_REDIS_URL and EASEL_STORE_URL belong to two different Easels; point both at the same one."
        )
    return here == there


def stored_identity(blobs: Blobs) -> str | None:
    """The ledger's id as the blob store knows it."""
    try:
        return str(json.loads(blobs.get(IDENTITY_KEY))["id"])
    except BlobMissing:
        return None
