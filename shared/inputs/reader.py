"""Reads the images of one submission: each is decoded, or found by its ID, and checked for its role."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import zip_longest
from typing import Any, Final

from shared.errors import TooManyImages
from shared.inputs.decoder_pool import DecoderPool
from shared.inputs.input_images import (
    InputImage,
    check_input,
    check_used_share,
    decode_image,
    decode_mask,
    decode_style,
    positioned,
)
from shared.inputs.sources import ImageId, ImageSource, ImageSources, ImageUrl
from shared.inputs.uploaded import UploadedImages
from shared.jobs.estimate import peak_memory
from shared.recipe import Recipe
from shared.recipe_inputs import check_shape

MAX_DECODED: Final = 32
"""Images that are decoded for one batch. The request waits for them."""


@dataclass(frozen=True)
class Inputs:
    """The images of a job, as they are stored."""

    content: InputImage
    styles: Sequence[InputImage]
    masks: Sequence[InputImage] = ()
    init_image: InputImage | None = None

    def all(self) -> list[InputImage]:
        """Return each image once."""
        images = [self.content, *self.styles, *self.masks, *([self.init_image] if self.init_image else [])]
        return list({image.sha256: image for image in images}.values())

    def request_fields(self, recipe: Recipe) -> dict[str, Any]:
        """Return the fields of a JobRequest that depend on the images."""
        width, height = self.content.width, self.content.height
        others = [*self.styles, *([self.init_image] if self.init_image else [])]
        pixels = tuple(image.width * image.height for image in others)
        memory_of = partial(peak_memory, recipe, width, height, pixels, masks=len(self.masks))
        return {
            "content": self.content.sha256,
            "styles": tuple(style.sha256 for style in self.styles),
            "init_image": self.init_image.sha256 if self.init_image else None,
            "content_masks": tuple(mask.sha256 for mask in self.masks),
            "width": width,
            "height": height,
            "style_pixels": pixels,
            "peak_memory_bytes": memory_of(),
            "peak_gpu_memory_bytes": memory_of(kind="gpu"),
        }


class InputReader:
    """Reads for one client, who waits for a process of the decoder like any other.

    What an error says is about an image, and `extra` has the image's position in the form: `field` and `number`.
    """

    def __init__(self, decoder: DecoderPool, uploaded: UploadedImages, client: str) -> None:
        self._decoder, self._uploaded, self._client = decoder, uploaded, client

    def read(self, sources: ImageSources, recipe: Recipe) -> Inputs:
        """Return all images. Raises ImageNotFound, InvalidMask, and like `decode_image` and `DecoderPool`."""
        content = self._read_input(sources.content, recipe, field="content")
        size = content.width, content.height
        pairs = zip_longest(sources.styles, sources.style_masks)
        styles = [self._read_style(*pair, number=number) for number, pair in enumerate(pairs)]
        masks = self._read_masks(sources.content_masks, size, len(styles))
        init_image = None
        if sources.init_image:
            init_image = self._read_input(sources.init_image, recipe, shape_of=size, field=sources.init_field)
        return Inputs(content, styles, masks, init_image)

    def read_image(self, source: ImageSource) -> InputImage:
        """Return an image that may have any role. One with an ID is not decoded again."""
        if isinstance(source, ImageId):
            return self._uploaded.find(source)
        if isinstance(source, ImageUrl):
            raise TypeError("An image must be fetched before it is read.")
        with self._decoder.slot(self._client) as decode:
            return decode(decode_image, source.read(), self._decoder.max_pixels)

    def _read_input(
        self, source: ImageSource, recipe: Recipe, *, shape_of: tuple[int, int] | None = None, **position: Any
    ) -> InputImage:
        with positioned(**position):
            image = self.read_image(source)
            check_input(image, recipe, shape_of)
            return image

    def _read_style(self, source: ImageSource, mask: ImageSource | None, *, number: int) -> InputImage:
        with positioned(field="style", number=number):
            style = self.read_image(source) if mask is None else self._decode_style(source, mask)
            check_shape((style.width, style.height))
            with positioned(**({} if mask is None else {"field": "style_mask"})):
                check_used_share(style.used_share)
            return style

    def _read_masks(self, sources: Sequence[ImageSource], size: tuple[int, int], styles: int) -> list[InputImage]:
        """Return one gray mask for each style, at the photo's `size` (width, height); none without masks.

        One image for several styles has a flat color for each of them.
        """
        masks: list[InputImage] = []
        for number, source in enumerate(sources):
            with positioned(field="content_mask", number=number):
                masks += self._decode_mask(source, size, styles // len(sources))
        return masks

    def _decode_style(self, source: ImageSource, mask: ImageSource) -> InputImage:
        with self._decoder.slot(self._client) as decode:
            files = self._read_file(source), self._read_file(mask, field="style_mask")
            return decode(decode_style, *files, self._decoder.max_pixels)

    def _decode_mask(self, source: ImageSource, size: tuple[int, int], styles: int) -> list[InputImage]:
        with self._decoder.slot(self._client) as decode:
            return decode(decode_mask, self._read_file(source), size, styles, self._decoder.max_pixels)

    def _read_file(self, source: ImageSource, **position: Any) -> bytes:
        with positioned(**position):
            if isinstance(source, ImageUrl):
                raise TypeError("An image must be fetched before it is read.")
            return self._uploaded.read(source) if isinstance(source, ImageId) else source.read()


class StoringReader(InputReader):
    """Reads for a batch: decodes each image once, stores it, and remembers what it needs besides the pixels.

    Raises TooManyImages, too, and what `store` raises.
    """

    def __init__(
        self,
        decoder: DecoderPool,
        uploaded: UploadedImages,
        client: str,
        store: Callable[[Sequence[InputImage]], None],
    ) -> None:
        super().__init__(decoder, uploaded, client)
        self._store = store
        self._known: dict[object, list[InputImage]] = {}
        self._decoded = 0

    def read_image(self, source: ImageSource) -> InputImage:
        """Return an image, which is stored."""
        read = super().read_image
        return self._once(source, lambda: [read(source)], decodes=not isinstance(source, ImageId))[0]

    def _decode_style(self, source: ImageSource, mask: ImageSource) -> InputImage:
        decode = super()._decode_style
        return self._once((source, mask), lambda: [decode(source, mask)])[0]

    def _decode_mask(self, source: ImageSource, size: tuple[int, int], styles: int) -> list[InputImage]:
        decode = super()._decode_mask
        return self._once((source, size, styles), lambda: decode(source, size, styles))

    def _once(self, key: object, read: Callable[[], list[InputImage]], *, decodes: bool = True) -> list[InputImage]:
        if key not in self._known:
            self._decoded += decodes
            if self._decoded > MAX_DECODED:
                raise TooManyImages(
                    f"At most {MAX_DECODED} images are decoded for a batch: files, each style with its mask, each mask "
                    "for a photo's size, and results to start from. Send a smaller batch."
                )
            images = read()
            if decodes:
                self._store(images)
            self._known[key] = [replace(image, png=None) for image in images]
        return self._known[key]
