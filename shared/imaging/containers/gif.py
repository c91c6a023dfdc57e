"""GIF89a: https://www.w3.org/Graphics/GIF/spec-gif89a.txt."""

from typing import Final

_HEADER_BYTES: Final = 13
_EXTENSION, _IMAGE, _GRAPHIC_CONTROL = 0x21, 0x2C, 0xF9


def copy_gif(data: bytes) -> bytes:
    """Return a GIF without extensions but for graphic control (transparency): comments, XMP and applications' own."""
    offset = _HEADER_BYTES + _table_bytes(data, _HEADER_BYTES - 3)
    parts = [data[:offset]]
    while offset < len(data) and data[offset] in {_EXTENSION, _IMAGE}:
        if data[offset] == _EXTENSION:
            start = offset + 2
            kept = data[offset + 1 : start] == bytes([_GRAPHIC_CONTROL])
        else:
            start = offset + 10 + _table_bytes(data, offset + 9) + 1  # then the code size of LZW
            kept = True
        end = _end_of_blocks(data, start)
        if kept:
            parts.append(data[offset:end])
        offset = end
    return b"".join([*parts, data[offset:]])


def _table_bytes(data: bytes, flags_at: int) -> int:
    """Return the size of the color table that the flags at this offset announce."""
    flags = data[flags_at] if flags_at < len(data) else 0
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(data: bytes, offset: int) -> int:
    """Return the offset behind a list of blocks, each with its length in front, that an empty one ends."""
    while offset < len(data) and data[offset]:
        offset += data[offset] + 1
    return offset + 1
