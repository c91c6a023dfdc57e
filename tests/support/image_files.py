"""Image files and colour profiles, all made on the spot."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image

from shared import images

Colour = tuple[int, int, int]


def picture(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A smooth RGB picture whose four corners all differ."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    return Image.fromarray((np.dstack([x, y, (1 - x) * y]) * 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def decode(data: bytes, max_pixels: int = 1_000_000) -> Image.Image:
    return images.decode(data, max_pixels=max_pixels)


def plain(mode: str, colour: object, size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def colour(image: Image.Image, at: tuple[int, int] = (20, 20)) -> Colour:
    found = image.getpixel(at)
    assert isinstance(found, tuple)
    return found


def close(found: Colour, wanted: Colour, by: int = 3) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


def with_secrets(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRET camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 31.0, 12.0), 29: "SECRET place"})
    return saved(picture(), kind, exif=exif, icc_profile=swapped_profile(), comment="SECRET comment")


def palette(*, transparent: bool) -> bytes:
    image = plain("P", 1)
    image.putpalette([9, 9, 9, 0, 0, 200])
    return saved(image, **({"transparency": bytes([255, 0])} if transparent else {}))


# Colour profiles (ICC.1:2001-04), from scratch.


def profile(space: bytes, pcs: bytes, **tags: bytes) -> bytes:
    header = struct.pack(">I4xI4s4s4s12x4s28x3i48x", 0, 0x02400000, b"prtr", space, pcs, b"acsp", *D50)
    text = b"text" + bytes(4) + b"made by a test\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags |= {"desc": name, "cprt": text, "wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *D50)}
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag.encode(), place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = header + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


D50 = (63190, 65536, 54061)  # in 1/65536


RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def xyz(colorant: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in colorant))


def swapped_profile() -> bytes:
    """Of a screen whose first channel shines green, and whose second shines red."""
    curves = {f"{channel}TRC": gamma(2.2) for channel in "rgb"}
    return profile(b"RGB ", b"XYZ ", rXYZ=xyz(GREEN), gXYZ=xyz(RED), bXYZ=xyz(BLUE), **curves)


def linear_gray_profile() -> bytes:
    return profile(b"GRAY", b"XYZ ", kTRC=gamma(1))


def green_ink_profile() -> bytes:
    """Of a press that prints white without ink, black with the fourth ink, and green with any other."""
    matrix = struct.pack(">9i", *(65536 if place % 4 == 0 else 0 for place in range(9)))
    ramp = bytes(range(256))
    paper, black, green = bytes([255, 128, 128]), bytes([0, 128, 128]), bytes([128, 60, 190])  # L, a, b
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + paper + black + (green + black) * 7 + ramp * 3
    )
    return profile(b"CMYK", b"Lab ", A2B0=table)
