"""The bytes that each tenant's images and jobs take in the blob store, in Redis.

The reaper measures them by listing the store (worker/maintenance/stored_bytes.py). In between, what clients store and
delete is added and subtracted. What workers write counts from the next measurement on.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import redis

from shared.errors import LedgerUnavailable, StorageQuotaExceeded
from shared.inputs.input_images import InputImage
from shared.redis_client import NAMESPACE, load_script, translate_errors
from shared.storage import BlobStore, keys

MEASURE_SECONDS: Final = 600
"""Seconds between two measurements, of all reapers together."""
_BYTES: Final = f"{NAMESPACE}:stored_bytes"
_MEASURED: Final = f"{NAMESPACE}:stored_bytes_measured"


class StoredBytes:
    """Safe to share between threads."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client  # redis-py types its replies as bytes or str whatever decode_responses says
        self._add = client.register_script(load_script("add_stored_bytes"))

    def get(self, tenant: str) -> int:
        """Return the tenant's bytes. Raises LedgerUnavailable."""
        with translate_errors():
            return int(self._redis.hget(_BYTES, tenant) or 0)

    def all(self) -> dict[str, int]:
        """Return the bytes by tenant, of those that store any. Raises LedgerUnavailable."""
        with translate_errors():
            stored = self._redis.hgetall(_BYTES)
        return {tenant: int(size) for tenant, size in stored.items()}

    def check(self, tenant: str, limit: int | None) -> None:
        """Raise StorageQuotaExceeded if the tenant stores as much as it may; 0 and None are no limit.

        While Redis is away, nothing is refused.
        """
        if not limit:
            return
        with suppress(LedgerUnavailable):
            if (stored := self.get(tenant)) >= limit:
                raise StorageQuotaExceeded.of(stored, limit)

    def add_inputs(self, tenant: str, blobs: BlobStore, images: Iterable[InputImage]) -> None:
        """Add the images that are about to be stored, unless any tenant has stored them. Raises StorageUnavailable."""
        new = (len(image.png) for image in images if image.png and not blobs.exists(keys.input_image(image.sha256)))
        self.add(tenant, sum(new))

    def add(self, tenant: str, size: int) -> None:
        """Add bytes, or subtract them. While Redis is away, this is left to the next measurement."""
        with suppress(LedgerUnavailable), translate_errors():
            self._add(keys=[NAMESPACE], args=(tenant, size))

    def replace(self, measured: Mapping[str, int]) -> None:
        """Set the bytes of all tenants. Raises LedgerUnavailable."""
        pipe = self._redis.pipeline()
        pipe.delete(_BYTES)
        if measured:
            pipe.hset(_BYTES, mapping=dict(measured))
        with translate_errors():
            pipe.execute()

    def is_due(self) -> bool:
        """Return whether this caller has to measure now. Raises LedgerUnavailable."""
        with translate_errors():
            return bool(self._redis.set(_MEASURED, "", nx=True, ex=MEASURE_SECONDS))

    def request_measurement(self) -> None:
        """Make the next measurement due. Raises LedgerUnavailable."""
        with translate_errors():
            self._redis.delete(_MEASURED)
