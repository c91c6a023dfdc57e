"""TIFF files of rare kinds: what they show, or why they are refused."""

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from support.image_files import linear_gray_profile

from shared.errors import BrokenImage, ImageTooLarge, ImageTooSmall, NotAnImage
from shared.imaging import deep_color

RANDOM = np.random.default_rng(3)
GRAY = RANDOM.integers(0, 65536, (48, 64), np.uint16)
ALPHA = np.full((48, 64), 30_000, np.uint16)


def decode(data: bytes, **options: Any) -> deep_color.Pixels:
    return deep_color.decode(data, max_pixels=1_000_000, **options).pixels


def tiff(pixels: np.ndarray, photometric: str = "minisblack", **options: Any) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, photometric=photometric, **options)
    return target.getvalue()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "miniswhite"])
def test_gray_with_alpha_in_16_bits_is_read(byteorder: str, kind: str) -> None:
    """As by ImageMagick, but for 0 as white, for which it shows a negative."""
    stored = {"assocalpha": np.rint(GRAY * (30_000 / 0xFFFF)).astype(np.uint16), "miniswhite": 0xFFFF - GRAY}
    photometric, alpha = ("minisblack", kind) if kind in {"unassalpha", "assocalpha"} else (kind, "unassalpha")
    data = tiff(np.dstack([stored.get(kind, GRAY), ALPHA]), photometric, byteorder=byteorder, extrasamples=[alpha])
    pixels = decode(data, background=None)
    assert pixels.dtype == np.uint16
    np.testing.assert_allclose(pixels.astype(int), np.dstack([GRAY] * 3 + [ALPHA]), atol=2)


@pytest.mark.parametrize("extrasamples", [None, ["unspecified"]])
def test_big_endian_gray_in_which_0_is_white_is_read_exactly(extrasamples: list[str] | None) -> None:
    white = 0xFFFF - GRAY
    stored = white if extrasamples is None else np.dstack([white, ALPHA])
    data = tiff(stored, "miniswhite", byteorder=">", **({"extrasamples": extrasamples} if extrasamples else {}))
    np.testing.assert_array_equal(decode(data, background=None), np.dstack([GRAY] * 3))


def test_a_gray_tiff_with_alpha_is_turned_upright_and_converted_by_its_profile() -> None:
    pixels = np.dstack([np.full((40, 60), 14_000, np.uint16), np.full((40, 60), 30_000, np.uint16)])
    options = {
        "extrasamples": ["unassalpha"],
        "iccprofile": linear_gray_profile(),
        "extratags": [(274, "H", 1, 6, True)],
    }
    read = decode(tiff(pixels, "minisblack", **options), background=None)
    plain = decode(tiff(pixels[..., 0].T, iccprofile=linear_gray_profile()))
    assert read.shape == (60, 40, 4)
    np.testing.assert_allclose(read[..., :3].astype(int), plain, atol=2)


def test_a_tiff_of_a_kind_that_nothing_reads_is_said_to_be_unsupported_or_corrupt() -> None:
    planes = tiff(np.zeros((2, 40, 40), np.uint16), extrasamples=["unassalpha"], planarconfig="separate")
    with pytest.raises(BrokenImage, match="not supported, by its channels or its compression"):
        decode(planes)
    jpeg2000 = tiff(np.zeros((40, 40, 3), np.uint8), "rgb").replace(
        b"\x03\x01\x03\0\x01\0\0\0\x01\0", b"\x03\x01\x03\0\x01\0\0\0\x51\xc3"
    )
    with pytest.raises(BrokenImage, match="not supported, by its channels or its compression"):
        decode(jpeg2000)


@pytest.mark.parametrize("kind", [np.int8, np.int16, np.int32, np.float16, np.float64, np.complex64])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_whose_levels_are_not_unsigned_integers_is_named(kind: type, channels: int) -> None:
    reason = {"i": "with a sign", "f": "floating point", "c": "complex"}[np.dtype(kind).kind]
    pixels = np.zeros((40, 40, channels), kind).squeeze()
    with pytest.raises(NotAnImage, match=reason):
        decode(tiff(pixels, photometric="rgb" if channels > 1 else "minisblack"))


def test_unsigned_levels_of_32_bits_are_named() -> None:
    with pytest.raises(NotAnImage, match="32 bits"):
        decode(tiff(np.zeros((40, 40), np.uint32)))


def test_a_gray_tiff_with_alpha_is_checked_like_others() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (64, 64, 2), np.uint16)
    data = tiff(pixels, extrasamples=["unassalpha"])
    with pytest.raises(BrokenImage):
        decode(data[: len(data) // 2])
    with pytest.raises(ImageTooLarge):
        deep_color.decode(data, max_pixels=4000)
    with pytest.raises(ImageTooSmall):
        decode(tiff(pixels[:20], extrasamples=["unassalpha"]))
