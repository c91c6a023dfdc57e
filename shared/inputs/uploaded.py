"""Images that are uploaded once, so that quotes and jobs of a tenant can refer to them by their hash.

The pixels are stored like any input, once for all tenants. A record of each tenant that uploaded them has what need not
be decoded again, and until when the tenant may refer to them.

Garbage collection deletes a record an hour after it expired, and then the pixels, unless a job refers to them. Within
that hour each submission that found the record valid has stored its request (docs/decisions/0011-uploaded-images.md).
"""

import time
from contextlib import suppress
from typing import Final

from pydantic import BaseModel, ConfigDict

from shared.errors import BlobMissing
from shared.inputs.input_images import InputImage
from shared.inputs.sources import ImageId
from shared.storage import BlobStore, keys

_RENEW_AFTER: Final = 3600.0
"""Seconds after which a reference writes the record again: an image that is used often is not written each time."""


class ImageRecord(BaseModel):
    """What a tenant's record of an image says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    width: int  # as uploaded: what is stored may be smaller
    height: int
    bit_depth: int
    used_share: float
    expires_at: float  # seconds since the epoch

    def image(self, sha256: str) -> InputImage:
        """Return the image, whose pixels are stored already."""
        return InputImage(sha256, None, **self.model_dump(exclude={"expires_at"}))


class UploadedImages:
    """The uploaded images of one tenant, which expire `seconds` after their last use."""

    def __init__(self, blobs: BlobStore, tenant: str, seconds: float) -> None:
        self._blobs, self._tenant, self._seconds = blobs, tenant, seconds

    def add(self, image: InputImage) -> ImageRecord:
        """Store an image that was decoded, and its record."""
        store_input(self._blobs, image)
        return self._write(image)

    def count(self, image: InputImage) -> None:
        """Store an expired record, if there is none: the stored image counts for the quota until it is deleted."""
        if not self._blobs.exists(keys.image(self._tenant, image.sha256)):
            self._write(image, expires_at=0)

    def find(self, image_id: ImageId) -> InputImage:
        """Return an image, which then expires later. Raises ImageNotFound."""
        try:
            record = ImageRecord.model_validate_json(self._blobs.get(keys.image(self._tenant, image_id.sha256)))
        except (BlobMissing, ValueError) as error:
            raise image_id.not_found() from error
        if record.expires_at <= time.time():
            raise image_id.not_found()
        image = record.image(image_id.sha256)
        if record.expires_at < time.time() + self._seconds - _RENEW_AFTER:
            self._write(image)
        return image

    def delete(self, image_id: ImageId) -> None:
        """Make an image unknown. Raises ImageNotFound.

        Its pixels are stored again first: so garbage collection keeps them for a day, in which each submission that
        found the record has stored its request. After that it deletes them, unless something refers to them.
        """
        self.find(image_id)
        pixels = keys.input_image(image_id.sha256)
        with suppress(BlobMissing):
            self._blobs.put(pixels, self._blobs.get(pixels), content_type="image/png")
        self._blobs.delete(keys.image(self._tenant, image_id.sha256))

    def read(self, image_id: ImageId) -> bytes:
        """Return an image as it is stored, a PNG. Raises ImageNotFound."""
        self.find(image_id)
        return self._blobs.get(keys.input_image(image_id.sha256))

    def _write(self, image: InputImage, expires_at: float | None = None) -> ImageRecord:
        record = ImageRecord(
            width=image.width,
            height=image.height,
            bit_depth=image.bit_depth,
            used_share=image.used_share,
            expires_at=time.time() + self._seconds if expires_at is None else expires_at,
        )
        key = keys.image(self._tenant, image.sha256)
        self._blobs.put(key, record.model_dump_json().encode(), content_type="application/json")
        return record


def store_input(blobs: BlobStore, image: InputImage) -> None:
    """Store an image that was decoded. An existing one is stored again: garbage collection keeps what is recent."""
    if image.png is not None:
        blobs.put(keys.input_image(image.sha256), image.png, content_type="image/png")


def has_expired(blobs: BlobStore, key: str, before: float) -> bool:
    """Return whether the record under this key expired before this time; True if it cannot be read."""
    try:
        return ImageRecord.model_validate_json(blobs.get(key)).expires_at < before
    except (BlobMissing, ValueError):
        return True
