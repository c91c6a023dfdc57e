"""JPEG: ITU-T T.81, annex B; JFIF: ITU-T T.871; Exif 2.32; ICC.1:2022, annex B.4."""

import re
import struct
from typing import Final

from shared.imaging.containers.tiff import exif_with, orientation_of

_START, _MARKER, _START_OF_SCAN, _END = 0xD8, 0xFF, 0xDA, 0xD9
_COMMENT: Final = 0xFE
_APPLICATION: Final = range(0xE0, 0xF0)
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD8)})
_SEGMENT: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not those that compressed pixels have
_EXIF, _EXIF_START = 0xE1, b"Exif\0\0"
_KEPT: Final = {0xE0: (b"JFIF\0", 14), 0xE2: (b"ICC_PROFILE\0", 14), 0xEE: (b"Adobe", 12)}
"""Application segments with colors, by marker: their first bytes, and the fewest that they have."""


def copy_jpeg(data: bytes) -> bytes:
    """Return a JPEG without comments, and without application segments but for JFIF, Exif, ICC and Adobe's transform.

    So the images that phones add to a photo (thumbnails, depth, gain maps) are not found, and XMP does not turn it. Of
    Exif only the orientation is kept; of several Exif segments the first counts, and of several that have the same part
    of a profile. Application segments are moved to the front: Pillow ignores a profile behind the image's size.
    """
    view, offset = memoryview(data), 2
    application, others = dict[bytes, bytes](), list[bytes]()
    while offset + 4 <= len(data) and data[offset] == _MARKER:
        marker = data[offset + 1]
        if marker == _MARKER:  # a fill byte
            offset += 1
            continue
        if marker in {_START_OF_SCAN, _END}:
            break
        end = offset + 2 if marker in _WITHOUT_LENGTH else offset + 2 + int.from_bytes(data[offset + 2 : offset + 4])
        content = bytes(view[offset + 4 : end])
        if marker == _EXIF and content.startswith(_EXIF_START):
            exif = _EXIF_START + exif_with(orientation_of(content[len(_EXIF_START) :]))
            application.setdefault(_EXIF_START, struct.pack(">BBH", _MARKER, _EXIF, len(exif) + 2) + exif)
        elif _is_kept(marker, content):
            segment = bytes(view[offset:end])
            if marker in _KEPT:
                application.setdefault(content[: _KEPT[marker][1]], segment)
            else:
                others.append(segment)
        offset = end
    return b"".join([b"\xff\xd8", *application.values(), *others, view[offset:]])


def count_scans(data: bytes) -> int:
    """Return the number of scans of a JPEG. What segments contain, and what follows its end, is not counted."""
    scans, offset = 0, 2
    while (found := _SEGMENT.search(data, offset)) and (marker := found[0][-1]) != _END:
        offset = found.end()
        if marker not in _WITHOUT_LENGTH:
            offset += int.from_bytes(data[offset : offset + 2])
        scans += marker == _START_OF_SCAN
    return scans


def _is_kept(marker: int, content: bytes) -> bool:
    if marker in _KEPT:
        start, shortest = _KEPT[marker]
        return content.startswith(start) and len(content) >= shortest
    return marker not in _APPLICATION and marker != _COMMENT
