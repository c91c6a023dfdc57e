"""Where the images of a submission come from."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

from shared.errors import ImageNotFound
from shared.jobs.webhook import url_problem

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


@dataclass(frozen=True)
class ImageUrl:
    """A URL that the image is fetched from after the submission."""

    url: str

    def __str__(self) -> str:
        return self.url


ImageSource = Upload | ImageId | ImageUrl


def image_url_problem(url: str, *, private: bool) -> str | None:
    """Return why an image may not be fetched from this URL, for people. `private` addresses may have no certificate."""
    schemes = ("https", "http") if private else ("https",)
    return url_problem(url, name="URL of an image", setting="EASEL_FETCH_PRIVATE", private=private, schemes=schemes)


def parse_source(text: str) -> ImageId | ImageUrl | None:
    """Return what `text` refers to; None if it is neither an ID nor a URL."""
    return ImageId.parse(text) or (ImageUrl(text) if text.lower().startswith(("https://", "http://")) else None)


@dataclass(frozen=True)
class ImageSources:
    """The images of one submission, not decoded yet."""

    content: ImageSource
    styles: tuple[ImageSource, ...]
    style_masks: tuple[ImageSource, ...] = ()  # one for each style, or none
    content_masks: tuple[ImageSource, ...] = ()
    init_image: ImageSource | None = None
    init_field: str = "init_image"  # the field that the start image comes from

    @property
    def have_urls(self) -> bool:
        """Whether an image is to be fetched."""
        images = (self.content, *self.styles, *self.style_masks, *self.content_masks, self.init_image)
        return any(isinstance(image, ImageUrl) for image in images)

    def map(self, change: "Change") -> Self:
        """Return the sources, each replaced by what `change` returns for it and its position in the form."""

        def changed(field: str, sources: Iterable[ImageSource]) -> tuple[ImageSource, ...]:
            return tuple(change(source, {"field": field, "number": number}) for number, source in enumerate(sources))

        return replace(
            self,
            content=change(self.content, {"field": "content"}),
            styles=changed("style", self.styles),
            style_masks=changed("style_mask", self.style_masks),
            content_masks=changed("content_mask", self.content_masks),
            init_image=change(self.init_image, {"field": self.init_field}) if self.init_image else None,
        )


Change = Callable[[ImageSource, dict[str, Any]], ImageSource]
