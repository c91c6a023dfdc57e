"""Images with 16 bits per channel: read, stored and written without loss."""

import io
import struct
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image
from support.image_files import (
    WRITABLE_FORMATS,
    decode_png,
    display_p3_profile,
    encode,
    gradient,
    linear_gray_profile,
    sixteen_bit_png,
    srgb_to_display_p3,
)

from shared.errors import BadInput, BrokenImage, ImageTooLarge, ImageTooSmall
from shared.imaging import deep_color, encoding, images
from shared.imaging.color_profiles import SRGB_PROFILE

RANDOM = np.random.default_rng(3)
RGB = RANDOM.integers(0, 65536, (48, 64, 3), np.uint16)
ALPHA = np.dstack([RGB, np.full((48, 64), 30_000, np.uint16)])


def decode(data: bytes, **options: Any) -> deep_color.Pixels:
    return deep_color.decode(data, max_pixels=1_000_000, **options).pixels


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    """Write a TIFF with a library that the code does not use."""
    target = io.BytesIO()
    options |= {"extrasamples": ["unassalpha"]} if pixels.shape[2] == 4 else {}
    options |= {"planarconfig": "contig"} if pixels.shape[2] > 1 else {}
    photometric = "rgb" if pixels.shape[2] > 2 else "minisblack"
    tifffile.imwrite(target, pixels.squeeze(), photometric=photometric, **options)
    return target.getvalue()


def solid(color: tuple[int, ...], size: tuple[int, int] = (40, 40)) -> np.ndarray:
    return np.full((size[1], size[0], len(color)), color, np.uint16)


# Reading.


def test_colors_of_16_bits_are_read_exactly() -> None:
    for data in (sixteen_bit_png(RGB, 2), tiff(RGB)):
        pixels = decode(data)
        assert pixels.dtype == np.uint16
        np.testing.assert_array_equal(pixels, RGB)


def test_gray_of_16_bits_is_read_exactly() -> None:
    for data in (sixteen_bit_png(RGB[..., 0], 0), tiff(RGB[..., :1]), encode(Image.fromarray(RGB[..., 0]), "TIFF")):
        np.testing.assert_array_equal(decode(data), np.repeat(RGB[..., :1], 3, axis=2))


def test_alpha_of_16_bits_is_kept_without_a_background() -> None:
    for data in (sixteen_bit_png(ALPHA, 6), tiff(ALPHA)):
        np.testing.assert_array_equal(decode(data, background=None), ALPHA)
    gray = sixteen_bit_png(ALPHA[..., [0, 3]], 4)
    np.testing.assert_array_equal(decode(gray, background=None), ALPHA[..., [0, 0, 0, 3]])


@pytest.mark.parametrize(("background", "expected"), [("white", 0xFFFF * 0.6 + 4000), ("black", 4000)])
def test_alpha_of_16_bits_is_flattened_on_a_background(background: str, expected: float) -> None:
    data = sixteen_bit_png(solid((10_000, 10_000, 10_000, 26_214)), 6)  # 26,214 is 40 %
    pixels = decode(data, background=background)
    assert pixels.shape == (40, 40, 3)
    np.testing.assert_allclose(pixels.astype(float), expected, atol=2)


def test_an_opaque_alpha_of_16_bits_is_dropped() -> None:
    opaque = np.dstack([RGB, np.full((48, 64), 0xFFFF, np.uint16)])
    np.testing.assert_array_equal(decode(sixteen_bit_png(opaque, 6), background=None), RGB)


def test_the_transparent_shade_of_a_gray_png_is_transparent() -> None:
    pixels = np.full((40, 40), 30_001)
    pixels[:20] = 1000
    read = decode(sixteen_bit_png(pixels, 0, struct.pack(">H", 1000)), background=None)
    assert [read[5, 5, 3], read[35, 5].tolist()] == [0, [30_001, 30_001, 30_001, 0xFFFF]]


def test_16_bits_that_say_no_more_than_8_become_8_and_are_stored_once() -> None:
    photo = np.asarray(gradient())
    deep = photo.astype(np.uint16) * 257
    stored = set()
    for data in (encode(gradient()), sixteen_bit_png(deep, 2), tiff(deep)):
        pixels = decode(data)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, photo)
        stored.add(deep_color.encode_canonical_png(pixels))
    assert stored == {encoding.encode_canonical_png(gradient())}


def test_signed_colors_of_16_bits_are_refused_as_by_pillow() -> None:
    data = tiff(RGB.astype(np.int16))
    with pytest.raises(BadInput):
        decode(data)


def test_a_fourth_channel_without_a_meaning_is_no_alpha() -> None:
    target = io.BytesIO()
    tifffile.imwrite(target, ALPHA, photometric="rgb", planarconfig="contig", extrasamples=["unspecified"])
    pixels = decode(target.getvalue(), background=None)
    assert pixels.shape[2] == 3
    np.testing.assert_array_equal(pixels, images.decode(target.getvalue(), max_pixels=1_000_000))


def test_above_the_largest_side_squared_16_bits_become_8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_color, "_MAX_PIXELS", RGB.shape[0] * RGB.shape[1] - 1)
    assert decode(tiff(RGB)).dtype == np.uint8


def test_a_stored_image_is_read_without_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libvips writes images above a limit to a folder for temporary files, which may be full."""
    png = deep_color.encode_canonical_png(RGB)
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setenv("VIPS_DISC_THRESHOLD", "1")
    np.testing.assert_array_equal(decode_png(png), RGB)


@pytest.mark.parametrize("kind", WRITABLE_FORMATS)
def test_files_with_8_bits_are_read_as_before(kind: str) -> None:
    data = encode(gradient(), kind)
    np.testing.assert_array_equal(decode(data), np.asarray(images.decode(data, max_pixels=10_000)))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_of_16_bits_is_turned_upright_like_one_of_8(orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    eight = encode(Image.fromarray((RGB // 257).astype(np.uint8)), exif=exif)
    data = tiff(RGB, extratags=[(274, "H", 1, orientation, True)])
    np.testing.assert_array_equal((decode(data) // 257).astype(np.uint8), decode(eight))


@pytest.mark.parametrize("color", [(0.8, 0.4, 0.2), (0.5, 0.5, 0.5), (0.123, 0.345, 0.678)])
def test_a_wide_gamut_photo_of_16_bits_is_converted_in_16_bits(color: tuple[float, ...]) -> None:
    wide = np.rint(srgb_to_display_p3(np.array(color)) * 0xFFFF)
    pixels = decode(tiff(solid(tuple(map(int, wide))), iccprofile=display_p3_profile()))
    assert pixels.dtype == np.uint16
    np.testing.assert_allclose(pixels[20, 20] / 0xFFFF, color, atol=0.0015)


def test_a_gray_profile_is_applied_in_16_bits() -> None:
    pixels = decode(tiff(solid((14_000,)), iccprofile=linear_gray_profile()))
    encoded = 1.055 * (14_000 / 0xFFFF) ** (1 / 2.4) - 0.055
    np.testing.assert_allclose(pixels[20, 20] / 0xFFFF, encoded, atol=0.002)


@pytest.mark.parametrize("profile", [b"no profile at all", linear_gray_profile()])
def test_an_unusable_profile_is_ignored(profile: bytes) -> None:
    np.testing.assert_array_equal(decode(tiff(RGB, iccprofile=profile)), RGB)


def test_limits_apply_before_pixels_are_decoded() -> None:
    with pytest.raises(ImageTooLarge):
        deep_color.decode(tiff(RGB), max_pixels=3000)
    with pytest.raises(ImageTooSmall):
        decode(tiff(RGB[:20]))


@pytest.mark.parametrize("write", [lambda: sixteen_bit_png(RGB, 2), lambda: tiff(RGB)])
def test_a_file_that_is_cut_off_is_broken(write: Any) -> None:
    data = write()
    with pytest.raises(BrokenImage):
        decode(data[: len(data) * 2 // 3])


@settings(max_examples=200)
@given(st.data())
def test_any_damage_to_a_file_of_16_bits_is_an_image_or_bad_input(data: st.DataObject) -> None:
    broken = bytearray(data.draw(st.sampled_from([tiff(RGB), tiff(ALPHA), sixteen_bit_png(ALPHA, 6)])))
    header = st.tuples(st.integers(0, 400), st.integers(0, 255))
    for place, value in data.draw(st.lists(header, max_size=6)):
        broken[place] = value
    with suppress(BadInput), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about the damage
        pixels = decode(bytes(broken[: data.draw(st.integers(0, len(broken)))]), background=None)
        assert pixels.dtype in {np.dtype(np.uint8), np.dtype(np.uint16)}
        assert pixels.shape[2] in {3, 4}


# Storing.


@pytest.mark.parametrize("pixels", [RGB, ALPHA])
def test_a_stored_photo_keeps_16_bits_and_equal_photos_are_stored_once(pixels: np.ndarray) -> None:
    png = deep_color.encode_canonical_png(pixels)
    np.testing.assert_array_equal(decode_png(png), pixels)
    np.testing.assert_array_equal(decode(png, background=None), pixels)
    assert deep_color.encode_canonical_png(decode_png(png)) == png


def test_hidden_colors_of_16_bits_are_not_stored() -> None:
    hidden = ALPHA.copy()
    hidden[:10, :, 3] = 0
    pixels = decode_png(deep_color.encode_canonical_png(hidden))
    assert not pixels[:10].any()
    np.testing.assert_array_equal(pixels[10:], hidden[10:])


def test_a_stored_photo_of_16_bits_has_at_most_the_largest_side() -> None:
    wide = np.zeros((1000, 5000, 4), np.uint16)
    wide[:, :2500] = (50_001, 0, 0, 0xFFFF)
    wide[:, 2500:] = (0, 0, 0xFFFF, 0)
    pixels = decode_png(deep_color.encode_canonical_png(wide))
    assert (pixels.shape, pixels.dtype) == ((819, 4096, 4), np.uint16)
    assert pixels[400, 100].tolist() == [50_001, 0, 0, 0xFFFF]
    assert pixels[pixels[..., 3] > 0][:, 2].max() == 0, "no hidden blue at the edge"


# Results.


def test_a_result_of_16_bits_has_the_nearest_of_65536_levels() -> None:
    values = np.array([-1, 0, 0.4 / 65535, 0.6 / 65535, 0.5, 0.123456, 1, 2, np.nan], np.float32)
    png = deep_color.encode_png(np.broadcast_to(values[:, np.newaxis], (40, 9, 3)), 16)
    pixels = decode_png(png)
    assert pixels[7, :, 1].tolist() == [0, 0, 0, 1, 32768, 8091, 65535, 65535, 0]
    with Image.open(io.BytesIO(png)) as image:
        assert image.info["icc_profile"] == SRGB_PROFILE
    assert png == deep_color.encode_png(np.broadcast_to(values[:, np.newaxis], (40, 9, 3)), 16)
    assert struct.unpack(">IIBB", png[16:26]) == (9, 40, 16, 2)


def test_a_result_of_8_bits_is_that_of_pillow() -> None:
    image = RANDOM.random((40, 40, 4), np.float32)
    assert deep_color.encode_png(image) == encoding.encode_png(image)


def test_a_transparent_result_of_16_bits_keeps_its_alpha() -> None:
    image = RANDOM.random((40, 40, 4), np.float32)
    levels = decode_png(deep_color.encode_png(image, 16))
    np.testing.assert_allclose(levels / 0xFFFF, image, atol=0.5001 / 0xFFFF)
    assert pyvips.Image.pngload_buffer(deep_color.encode_png(image, 16)).interpretation == "rgb16"
