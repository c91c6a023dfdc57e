"""Opens every outside part from the settings. What the API and the workers are handed."""

import json
import secrets
from dataclasses import dataclass
from typing import Final

from shared.dispatch import Dispatcher, celery_app
from shared.errors import BlobMissing, BlobsUnavailable, LedgerUnavailable
from shared.jobs.events import Events
from shared.jobs.filmstrip import Filmstrip
from shared.jobs.run_history import RunHistory
from shared.ledger.job_snapshot import JobSnapshots
from shared.ledger.ledger import Ledger
from shared.ledger.outbox import Outbox
from shared.ledger.queue_stats import QueueStats
from shared.redis_client import connect
from shared.revoked_sessions import RevokedSessions
from shared.settings import Settings
from shared.storage import HASTY, BlobStore, Patience, S3Options, open_blob_store

IDENTITY_KEY: Final = "ledger.json"


@dataclass(frozen=True)
class Services:
    """The outside world. Open anew after a fork."""

    settings: Settings
    ledger: Ledger
    events: Events
    filmstrip: Filmstrip
    queue_stats: QueueStats
    snapshots: JobSnapshots
    outbox: Outbox
    run_history: RunHistory
    revoked_sessions: RevokedSessions
    blobs: BlobStore
    dispatcher: Dispatcher


def open_services(settings: Settings, patience: Patience = HASTY) -> Services:
    """Connect lazily: nothing is asked of Redis or the blob store yet. `patience` is with a remote blob store."""
    client = connect(settings.redis_url)
    s3 = S3Options(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        path_style=settings.s3_path_style,
        patience=patience,
    )
    return Services(
        settings=settings,
        ledger=Ledger(client),
        events=Events(client),
        filmstrip=Filmstrip(client),
        queue_stats=QueueStats(client),
        snapshots=JobSnapshots(client),
        outbox=Outbox(client),
        run_history=RunHistory(client),
        revoked_sessions=RevokedSessions(client),
        blobs=open_blob_store(settings.store_url, s3),
        dispatcher=Dispatcher(celery_app(settings), client),
    )


def ensure_paired(services: Services) -> bool:
    """Make sure that this Redis and this blob store belong together; a new pair is married here.

    False where Redis lost its memory: then `easel-worker reconcile` or the reaper rebuilds it first.
    Raises LedgerUnavailable where each belongs to another, BlobsUnavailable where the store has lost its blobs.
    """
    here, there = services.ledger.identity(), stored_identity(services.blobs)
    if there is None:
        if here is not None and services.ledger.list(limit=1):
            raise BlobsUnavailable("The blob store is empty, but the queue has jobs; is its disk mounted?")
        here = services.ledger.adopt(here or secrets.token_hex(16))
        services.blobs.put(IDENTITY_KEY, json.dumps({"id": here}).encode(), content_type="application/json")
        return True
    if here is not None and here != there:
        raise LedgerUnavailable(
            "EASEL_REDIS_URL and EASEL_STORE_URL belong to two different Easels; point both at the same one."
        )
    return here == there


def stored_identity(blobs: BlobStore) -> str | None:
    """The ledger's id as the blob store knows it."""
    try:
        return str(json.loads(blobs.get(IDENTITY_KEY))["id"])
    except BlobMissing:
        return None
