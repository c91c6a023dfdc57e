"""TIFF, Revision 6.0 (Adobe, 1992), and its ICC tag (ICC.1:2022, annex B.3)."""

import struct
from typing import Final

PLANES, EXTRA_SAMPLES, SAMPLE_FORMAT = 284, 338, 339
"""Tags for `first_value`."""

_ORIENTATION, _PROFILE = 274, 34675
_TAGS: Final = frozenset(
    {
        254,
        255,
        256,
        257,
        258,
        259,
        262,
        266,
        273,
        _ORIENTATION,
        277,
        278,
        279,
        PLANES,
        292,
        293,
        317,
        320,
        322,
        323,
        324,
    }
    | {
        325,
        332,
        EXTRA_SAMPLES,
        SAMPLE_FORMAT,
        347,
        512,
        513,
        514,
        515,
        517,
        518,
        519,
        520,
        521,
        529,
        530,
        532,
        _PROFILE,
    }
)
"""Tags that say how pixels are stored, and what their colors are."""

_BYTE, _SHORT, _UNDEFINED = 1, 3, 7
_ORIENTATIONS: Final = range(1, 9)
_ENTRY: Final = 12
_INLINE_SHORTS: Final = 2  # of an entry, which else says where they are


def copy_tiff(data: bytes) -> bytes:
    """Return a TIFF whose first directory has only tags of the pixels, and a profile and orientation that are sound.

    The directory is shortened where it is; nothing else moves. Further pages stay, since files with several pages are
    refused later, with the true reason.
    """
    try:
        order, start, entries, following = _read_directory(data)
    except struct.error:
        return data
    kept = [entry for entry in entries if _is_kept(entry, order)]
    directory = struct.pack(f"{order}H", len(kept)) + b"".join(kept) + struct.pack(f"{order}I", following)
    return data[:start] + directory + data[start + len(directory) :]


def first_value(data: bytes, tag: int, default: int) -> int:
    """Return the first number of a tag of the first directory, all of which are 16-bit numbers; or the default."""
    try:
        order, _, entries, _ = _read_directory(data)
        for entry in entries:
            found, kind, count = struct.unpack_from(f"{order}HHI", entry)
            if (found, kind) == (tag, _SHORT):
                at = (entry, 8) if count <= _INLINE_SHORTS else (data, *struct.unpack_from(f"{order}I", entry, 8))
                return int(struct.unpack_from(f"{order}H", *at)[0])
    except struct.error:
        pass
    return default


def orientation_of(exif: bytes) -> int:
    """Return the orientation, 1 to 8, in Exif data, which has the structure of a TIFF; 1 if there is none."""
    try:
        order, _, entries, _ = _read_directory(exif)
        tags = [struct.unpack_from(f"{order}HHIH", entry) for entry in entries]
    except struct.error:
        return 1
    values = [value for *key, value in tags if key == [_ORIENTATION, _SHORT, 1] and value in _ORIENTATIONS]
    return values[0] if values else 1


def exif_with(orientation: int) -> bytes:
    """Return Exif data with nothing but an orientation."""
    return struct.pack("<2sHIHHHIHxxI", b"II", 42, 8, 1, _ORIENTATION, _SHORT, 1, orientation, 0)


def _read_directory(data: bytes) -> tuple[str, int, list[bytes], int]:
    """Return (byte order, offset, entries, offset of the next) of the first directory. Raises struct.error."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, start)
    end = start + 2 + _ENTRY * count
    (following,) = struct.unpack_from(f"{order}I", data, end)
    return order, start, [data[at : at + _ENTRY] for at in range(start + 2, end, _ENTRY)], following


def _is_kept(entry: bytes, order: str) -> bool:
    tag, kind, count = struct.unpack_from(f"{order}HHI", entry)
    if tag == _ORIENTATION:
        return bool((kind, count) == (_SHORT, 1))
    return tag in _TAGS and (tag != _PROFILE or kind in {_BYTE, _UNDEFINED})
