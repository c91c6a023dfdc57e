"""PNG (Third Edition): https://www.w3.org/TR/png-3/."""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from shared.imaging.containers.tiff import exif_with, orientation_of

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PIXELS: Final = frozenset({b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"})
"""Chunks that are copied unchecked. Three are of animations, which are refused later, with the true reason."""

_COLOR_BYTES: Final = {b"cICP": 4, b"sRGB": 1, b"gAMA": 4, b"cHRM": 32}
_TRANSPARENCY_BYTES: Final = {0: 2, 2: 6}  # by color type, but for palettes
_PALETTE: Final = 3
_MAX_PROFILE: Final = 4 * 2**20
_MAX_PROFILE_NAME: Final = 79


def iter_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, memoryview]]:
    """Yield (type, content, the whole chunk) of a PNG. A chunk that is cut off is the last, with what there is."""
    view, offset = memoryview(data), len(SIGNATURE)
    while offset + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + size + 12
        yield kind, view[offset + 8 : end - 4], view[offset:end]
        offset = end


def make_chunk(kind: bytes, content: bytes) -> bytes:
    """Return a whole chunk."""
    return struct.pack(">I4s", len(content), kind) + content + struct.pack(">I", zlib.crc32(kind + content))


def copy_png(data: bytes) -> bytes:
    """Return a PNG with its pixels, and those chunks for colors, transparency and orientation that are sound.

    As in libpng, the first of several chunks of a type counts, and all must come before the pixels.
    """
    parts: list[bytes | memoryview] = [SIGNATURE]
    color_type, palette_size, seen = 0, 0, set[bytes]()
    for kind, content, chunk in iter_chunks(data):
        if kind == b"IHDR" and len(content) > 9:  # noqa: PLR2004 - the offset of the color type
            color_type = content[9]
        elif kind == b"PLTE":
            palette_size = len(content) // 3
        if kind in _PIXELS:
            parts.append(chunk)
        elif kind in seen or b"IDAT" in seen or not _is_sound(chunk):
            continue
        elif kind == b"eXIf":
            parts.append(make_chunk(kind, exif_with(orientation_of(bytes(content)))))
        elif _is_valid(kind, content, color_type, palette_size):
            parts.append(chunk)
        seen.add(kind)
        if kind == b"IEND":
            break
    return b"".join(parts)


def read_profile(content: bytes | memoryview) -> bytes | None:
    """Return the ICC profile in an iCCP chunk; None if it cannot be inflated or is larger than 4 MiB."""
    name, separator, compressed = bytes(content).partition(b"\0")
    if not separator or not 0 < len(name) <= _MAX_PROFILE_NAME or compressed[:1] != b"\0":
        return None
    inflater = zlib.decompressobj()
    try:
        profile = inflater.decompress(compressed[1:], _MAX_PROFILE)
    except zlib.error:
        return None
    return profile if inflater.eof else None


def _is_valid(kind: bytes, content: memoryview, color_type: int, palette_size: int) -> bool:
    """Return whether a chunk is one of colors or transparency, and has a length that is allowed."""
    if kind == b"iCCP":
        return read_profile(content) is not None
    if kind == b"tRNS" and color_type == _PALETTE:
        return 0 < len(content) <= palette_size
    return len(content) == (_TRANSPARENCY_BYTES.get(color_type) if kind == b"tRNS" else _COLOR_BYTES.get(kind))


def _is_sound(chunk: memoryview) -> bool:
    return len(chunk) >= 12 and zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")  # noqa: PLR2004 - bytes of an empty chunk
