"""Opens every external service from the settings, for the API and the workers."""

import json
import secrets
from dataclasses import dataclass
from typing import Final

from shared.dispatch import Dispatcher, create_celery_app
from shared.errors import BlobMissing, LedgerUnavailable, StorageUnavailable
from shared.jobs.events import JobEvents
from shared.jobs.filmstrip import FilmstripReader
from shared.jobs.run_history import RunHistory
from shared.ledger.contact_sheets import ContactSheets
from shared.ledger.fetches import Fetches
from shared.ledger.job_search import JobSearch
from shared.ledger.job_snapshot import JobSnapshots
from shared.ledger.ledger import Ledger
from shared.ledger.outbox import Outbox
from shared.ledger.queue_stats import QueueStats
from shared.redis_client import connect
from shared.revoked_sessions import RevokedSessions
from shared.settings import InvalidSettings, Settings
from shared.signing_secret import SigningSecret
from shared.storage import SHORT_TIMEOUTS, BlobStore, S3Options, Timeouts, keys, open_blob_store
from shared.tenants.audit import AuditLog
from shared.tenants.rate_limit import RequestCounter
from shared.tenants.stored_bytes import StoredBytes

DATA_FORMAT: Final = 2
"""Of the records in Redis and the files of jobs. Raise it with every change that older data do not survive."""


@dataclass(frozen=True)
class Services:
    """Clients of Redis, Celery and the blob store. Open new ones after a fork."""

    settings: Settings
    ledger: Ledger
    job_search: JobSearch
    events: JobEvents
    filmstrip: FilmstripReader
    fetches: Fetches
    contact_sheets: ContactSheets
    queue_stats: QueueStats
    snapshots: JobSnapshots
    outbox: Outbox
    run_history: RunHistory
    revoked_sessions: RevokedSessions
    signing_secret: SigningSecret
    request_counter: RequestCounter
    stored_bytes: StoredBytes
    audit_log: AuditLog
    blobs: BlobStore
    dispatcher: Dispatcher


def open_services(settings: Settings, timeouts: Timeouts = SHORT_TIMEOUTS) -> Services:
    """Create all clients; they connect at their first use. `timeouts` apply to a remote blob store.

    Raises InvalidSettings.
    """
    client = connect(settings.redis_url)
    return Services(
        settings=settings,
        ledger=Ledger(client),
        job_search=JobSearch(client),
        events=JobEvents(client),
        filmstrip=FilmstripReader(client),
        fetches=Fetches(client),
        contact_sheets=ContactSheets(client),
        queue_stats=QueueStats(client),
        snapshots=JobSnapshots(client),
        outbox=Outbox(client),
        run_history=RunHistory(client),
        revoked_sessions=RevokedSessions(client),
        signing_secret=SigningSecret(client),
        request_counter=RequestCounter(client),
        stored_bytes=StoredBytes(client),
        audit_log=AuditLog(client),
        blobs=open_blobs(settings, timeouts),
        dispatcher=Dispatcher(create_celery_app(settings), client),
    )


def open_blobs(settings: Settings, timeouts: Timeouts = SHORT_TIMEOUTS) -> BlobStore:
    """Return a client of the blob store; it connects at its first use. Raises InvalidSettings."""
    try:
        s3 = S3Options(
            endpoint=settings.s3_endpoint,
            region=settings.s3_region,
            path_style=settings.s3_path_style,
            timeouts=timeouts,
        )
        return open_blob_store(settings.store_url, s3)
    except ValueError as error:
        raise InvalidSettings(f"EASEL_STORE_URL or EASEL_S3_ENDPOINT: {error}.") from error


def ensure_paired(services: Services) -> bool:
    """Check that Redis and the blob store belong together; pair them if both are new.

    Returns False if Redis lost its data: `easel-worker rebuild` or the reaper must rebuild it first.
    Raises LedgerUnavailable if they belong to different installations, StorageUnavailable if the store lost its blobs.
    """
    identity, stored = services.ledger.identity(), stored_identity(services.blobs)
    if stored is None:
        if identity is not None and services.ledger.list(limit=1):
            raise StorageUnavailable("The blob store is empty, but the queue has jobs; is its disk mounted?")
        identity = services.ledger.ensure_identity(identity or secrets.token_hex(16))
        body = json.dumps({"id": identity, "format": DATA_FORMAT}).encode()
        services.blobs.put(keys.LEDGER_IDENTITY, body, content_type="application/json")
        return True
    if identity is not None and identity != stored:
        raise LedgerUnavailable(
            "EASEL_REDIS_URL and EASEL_STORE_URL belong to different installations of Easel; set both to the same one."
        )
    return identity == stored


def stored_identity(blobs: BlobStore) -> str | None:
    """Return the ledger's ID from the blob store, or None if the store has none.

    Raises StorageUnavailable if another version wrote the store in a format that this one does not read.
    """
    try:
        stored = json.loads(blobs.get(keys.LEDGER_IDENTITY))
    except BlobMissing:
        return None
    if (data_format := stored.get("format", 1)) != DATA_FORMAT:
        raise StorageUnavailable(
            f"EASEL_STORE_URL and EASEL_REDIS_URL hold data in format {data_format} of another version of Easel, and "
            f"this one reads format {DATA_FORMAT}; use an empty store and an empty Redis, or run that version."
        )
    return str(stored["id"])
