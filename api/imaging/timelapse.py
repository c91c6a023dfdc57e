"""Makes a time-lapse from a job's previews."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

from PIL import Image

from shared.imaging.images import decode_jpeg

T = TypeVar("T")
_MAX_FRAMES: Final = 60  # more cost memory and time and make no visible difference
_TOTAL_MS: Final = 3000
_MIN_FRAME_MS: Final = 80
_LAST_FRAME_MS: Final = 2000


def choose_frames(previews: Sequence[T]) -> list[T]:
    """Return at most 60 previews, evenly spaced, the first and the last included."""
    if len(previews) <= _MAX_FRAMES:
        return list(previews)
    return [previews[round(index * (len(previews) - 1) / (_MAX_FRAMES - 1))] for index in range(_MAX_FRAMES)]


def animate(files: Sequence[bytes]) -> bytes:
    """Return an animated WebP (lossy) that loops over two or more images.

    All frames get the size of the last one, which is shown longer.
    """
    last = decode_jpeg(files[-1])
    first, *others = _resized(files[:-1], last)
    frame_ms = max(_MIN_FRAME_MS, _TOTAL_MS // len(files))
    target = io.BytesIO()
    first.save(
        target,
        "WEBP",
        save_all=True,
        append_images=[*others, last],
        duration=[frame_ms] * (len(files) - 1) + [_LAST_FRAME_MS],
        loop=0,
        quality=80,
        method=2,
    )
    return target.getvalue()


def _resized(files: Iterable[bytes], last: Image.Image) -> Iterator[Image.Image]:
    for file in files:
        frame = decode_jpeg(file)
        yield frame if frame.size == last.size else frame.resize(last.size, Image.Resampling.BICUBIC)
