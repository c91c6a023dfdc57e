"""Image files without the metadata that their pixels do not depend on.

Viewers ignore damaged or large metadata, Pillow does not: it refuses the file, or parses for minutes. So files are
copied before they are decoded. The copy has the pixels, colors and orientation, each as far as it is sound. Damage in
the pixels themselves is left for the decoder to report.
"""

from collections.abc import Callable
from typing import Final

from shared.imaging.containers.gif import copy_gif
from shared.imaging.containers.jpeg import copy_jpeg
from shared.imaging.containers.png import copy_png
from shared.imaging.containers.tiff import copy_tiff

_COPIES: Final[tuple[tuple[bytes, Callable[[bytes], bytes]], ...]] = (
    (b"\x89PNG\r\n\x1a\n", copy_png),
    (b"\xff\xd8\xff", copy_jpeg),
    (b"GIF8", copy_gif),
    (b"II*\x00", copy_tiff),
    (b"MM\x00*", copy_tiff),
)


def without_metadata(data: bytes) -> bytes:
    """Return a PNG, JPEG, GIF or TIFF without metadata; other files, and those whose structure is broken, as they are.

    Its time is linear in the file's length. The result may be passed to any decoder.
    """
    for signature, copy in _COPIES:
        if data.startswith(signature):
            return copy(data)
    return data
