"""What a tenant may use: the settings' defaults, and what an operator set for a tenant in the blob store."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import BlobMissing
from shared.settings import MAX_REQUESTS_PER_SECOND, Settings
from shared.storage import BlobStore, keys


class Quotas(BaseModel):
    """Limits of one tenant; 0 is no limit. In the blob `tenants/<tenant>.json`, None is the settings' default."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    requests_per_second: float | None = Field(
        default=None,
        ge=0,
        le=MAX_REQUESTS_PER_SECOND,
        description="Requests per second, as an average of ten seconds.",
    )
    queued_jobs: int | None = Field(default=None, ge=0, description="Queued jobs.")
    # A copy is in Redis: Ledger.set_running_limit.
    running_jobs: int | None = Field(default=None, ge=0, description="Running jobs. Others wait in the queue.")
    pixel_evaluations_per_day: int | None = Field(
        default=None, ge=0, description="Pixels times evaluations of the jobs submitted in a day (UTC)."
    )
    stored_bytes: int | None = Field(default=None, ge=0, description="Bytes of uploaded images and jobs.")

    def or_defaults(self, settings: Settings) -> "Quotas":
        """Return these quotas with the settings' default for each None."""
        own = self.model_dump(exclude_none=True)
        return Quotas(**{name: getattr(settings, f"tenant_{name}") for name in Quotas.model_fields} | own)


def read_quotas(blobs: BlobStore, tenant: str) -> Quotas:
    """Return what was set for the tenant. Raises StorageUnavailable."""
    try:
        return Quotas.model_validate_json(blobs.get(keys.tenant(tenant)))
    except BlobMissing:
        return Quotas()


def store_quotas(blobs: BlobStore, tenant: str, quotas: Quotas) -> None:
    """Replace what was set for the tenant. Raises StorageUnavailable."""
    text = quotas.model_dump_json(exclude_none=True)
    blobs.put(keys.tenant(tenant), text.encode(), content_type="application/json")


def list_quotas(blobs: BlobStore) -> Iterator[tuple[str, Quotas]]:
    """Yield the tenants for which anything was set, and what was set. Raises StorageUnavailable."""
    for blob in blobs.list(keys.TENANTS_PREFIX):
        tenant = PurePosixPath(blob.key).stem
        yield tenant, read_quotas(blobs, tenant)
