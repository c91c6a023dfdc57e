"""The secrets that sign each tenant's webhooks.

They are derived from EASEL_WEBHOOK_SECRET. Of a tenant that rotated its secret, the blob store has the numbers of those
that sign, and of each earlier one until when.
"""

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from shared.errors import BlobMissing, StorageUnavailable
from shared.jobs.job import DEFAULT_TENANT
from shared.settings import Settings
from shared.storage import BlobStore, keys

_PREFIX: Final = "whsec_"
_MAX_EARLIER: Final = 4  # each is a signature in the header of every webhook


class _Number(BaseModel):
    """One of a tenant's secrets, the first with number 0. The newest one has no `ends_at`, in seconds since 1970."""

    number: int = 0
    ends_at: float | None = None


class _Numbers(BaseModel):
    """The blob of a tenant that rotated its secret, oldest first."""

    secrets: list[_Number] = [_Number()]


def webhook_secrets(settings: Settings, blobs: BlobStore, tenant: str) -> list[str]:
    """Return the tenant's secrets, oldest first, each derived from all of EASEL_WEBHOOK_SECRET in their order.

    HMAC-SHA256 of the tenant's name and the secret's number: from one secret no other can be computed. Raises
    StorageUnavailable.
    """
    return _derive(settings, tenant, _read(blobs, tenant))


def signing_secrets(settings: Settings, blobs: BlobStore, tenant: str) -> list[str]:
    """Return all secrets that sign the tenant's webhooks. Raises StorageUnavailable.

    For the tenant `default` also those of the service, which its receivers may have from the time before tenants had
    their own, until its first secret ends.
    """
    numbers = _read(blobs, tenant)
    inherits = tenant == DEFAULT_TENANT and any(one.number == 0 for one in numbers)
    services_own = [secret.get_secret_value() for secret in settings.webhook_secret if inherits]
    return services_own + _derive(settings, tenant, numbers)


def rotate_webhook_secret(blobs: BlobStore, tenant: str, previous_seconds: float) -> None:
    """Give the tenant a new secret. Earlier ones end after `previous_seconds` at most, all but the last four at once.

    Raises StorageUnavailable.
    """
    numbers, ends_at = _read(blobs, tenant), time.time() + previous_seconds
    earlier = [_Number(number=one.number, ends_at=min(ends_at, one.ends_at or ends_at)) for one in numbers]
    document = _Numbers(secrets=[*earlier[-_MAX_EARLIER:], _Number(number=numbers[-1].number + 1)])
    blobs.put(keys.webhook_secrets(tenant), document.model_dump_json().encode(), content_type="application/json")


def _read(blobs: BlobStore, tenant: str) -> Sequence[_Number]:
    """Return the numbers of the secrets that sign now."""
    try:
        stored = _Numbers.model_validate_json(blobs.get(keys.webhook_secrets(tenant)))
    except BlobMissing:
        if not blobs.exists(keys.LEDGER_IDENTITY):  # the tenant may have rotated its secret
            raise StorageUnavailable(
                "The blob store is empty; is its disk mounted? If Easel is new, start its API first."
            ) from None
        stored = _Numbers()
    return [one for one in stored.secrets if one.ends_at is None or one.ends_at > time.time()]


def _derive(settings: Settings, tenant: str, numbers: Sequence[_Number]) -> list[str]:
    services_own = [b64decode(secret.get_secret_value().removeprefix(_PREFIX)) for secret in settings.webhook_secret]
    names = [f"easel webhooks of tenant {tenant}" + (f" {one.number}" if one.number else "") for one in numbers]
    return [
        _PREFIX + b64encode(hmac.digest(key, name.encode(), "sha256")).decode()
        for name in names
        for key in services_own
    ]
