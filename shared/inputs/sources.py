"""Where the images of a submission come from."""

import re
from dataclasses import dataclass
from typing import Final, Protocol, Self

from shared.errors import ImageNotFound

_IMAGE_ID: Final = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


class Upload(Protocol):
    """A file that was sent with the submission."""

    def read(self) -> bytes:
        """Return the whole file. Called once."""


@dataclass(frozen=True)
class ImageId:
    """The ID of an image that was uploaded earlier (`POST /v1/images`)."""

    sha256: str

    def __str__(self) -> str:
        return f"sha256:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Return the ID in `text`; None if it has another form."""
        match = _IMAGE_ID.fullmatch(text)
        return cls(match[1]) if match else None

    def not_found(self) -> ImageNotFound:
        """Return the error for an unknown ID, and for another tenant's, which must look the same."""
        return ImageNotFound(f"There is no image {self}; it may have expired. Upload it again with POST /v1/images.")


ImageSource = Upload | ImageId


@dataclass(frozen=True)
class ImageSources:
    """The images of one submission, not decoded yet."""

    content: ImageSource
    styles: tuple[ImageSource, ...]
    style_masks: tuple[ImageSource, ...] = ()  # one for each style, or none
    content_masks: tuple[ImageSource, ...] = ()
    init_image: ImageSource | None = None
    init_field: str = "init_image"  # the field that the start image comes from
