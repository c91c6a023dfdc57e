"""A job's previews as a film."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from PIL import Image

from shared.images import reopened

T = TypeVar("T")
_MOST: Final = 60  # stills; each more costs memory and time, and nobody sees it
_WHOLE_MS: Final = 3000
_LEAST_MS: Final = 80
_LAST_MS: Final = 2000  # the picture itself, to be looked at


def chosen(stills: Sequence[T]) -> list[T]:
    """At most 60 of them, evenly spread, the first and the last among them."""
    if len(stills) <= _MOST:
        return list(stills)
    return [stills[round(place * (len(stills) - 1) / (_MOST - 1))] for place in range(_MOST)]


def animate(files: Sequence[bytes]) -> bytes:
    """An animated WebP (lossy) of these two or more images, that begins again and again.

    All stills get the size of the last, which is held longer.
    """
    last = reopened(files[-1])
    first, *others = _scaled(files[:-1], last)
    each = max(_LEAST_MS, _WHOLE_MS // len(files))
    target = io.BytesIO()
    first.save(
        target,
        "WEBP",
        save_all=True,
        append_images=[*others, last],
        duration=[each] * (len(files) - 1) + [_LAST_MS],
        loop=0,
        quality=80,
        method=2,
    )
    return target.getvalue()


def _scaled(files: Iterable[bytes], last: Image.Image) -> Iterator[Image.Image]:
    for file in files:
        still = reopened(file)
        yield still if still.size == last.size else still.resize(last.size, Image.Resampling.BICUBIC)
