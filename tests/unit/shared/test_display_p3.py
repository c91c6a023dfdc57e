"""Colors that sRGB does not have are kept, in Display P3."""

import io
from typing import Any

import numpy as np
import pytest
import pyvips
import tifffile
from PIL import Image, ImageCms
from support.image_files import display_p3_profile, encode, gradient, pixel, solid

from shared.imaging import deep_color, encoding, images
from shared.imaging.color_profiles import DISPLAY_P3_PROFILE, SRGB_PROFILE, gamut_of
from shared.imaging.display_p3 import Levels, convert
from shared.imaging.matrix_profiles import D65, P3_PRIMARIES, SRGB_CURVE, SRGB_PRIMARIES, matrix_profile, to_xyz

ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65)
PROPHOTO_RGB = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
RED_IN_P3 = (234, 51, 35)
"""The red of sRGB, (255, 0, 0), as CSS Color 4 has it: color(display-p3 0.9175 0.2003 0.1386)."""


def decode(data: bytes, **options: Any) -> deep_color.DecodedImage:
    return deep_color.decode(data, max_pixels=1_000_000, **options)


def encoded(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def patch(color: tuple[int, ...], dtype: type = np.uint8) -> Levels:
    return np.broadcast_to(np.array(color, dtype), (40, 50, len(color))).copy()


def test_the_profile_is_that_of_display_p3_for_littlecms() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3_PROFILE))
    assert ImageCms.getProfileDescription(profile).strip() == "Display P3"
    converted = ImageCms.profileToProfile(
        Image.fromarray(patch((255, 0, 0))), ImageCms.createProfile("sRGB"), profile, outputMode="RGB"
    )
    assert pixel(converted) == pytest.approx(RED_IN_P3, abs=1)
    assert gamut_of(display_p3_profile()) == "display-p3"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_display_p3_photo_with_colors_that_srgb_lacks_keeps_its_levels(kind: str) -> None:
    options: dict[str, object] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    data = encode(solid("RGB", (250, 10, 20)), kind, icc_profile=display_p3_profile(), **options)
    pixels, color_space = decode(data)
    assert color_space == "display-p3"
    np.testing.assert_allclose(pixels.reshape(-1, 3) - np.array((250, 10, 20), float), 0, atol=2)
    clipped = convert(pixels, color_space, "srgb")
    assert tuple(clipped[5, 5] / 257) == pytest.approx((255, 0, 0), abs=2)


def test_a_display_p3_photo_of_16_bits_keeps_its_levels() -> None:
    levels = np.random.default_rng(3).integers(0, 65536, (40, 50, 3), np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, levels, photometric="rgb", iccprofile=display_p3_profile())
    pixels, color_space = decode(file.getvalue())
    assert color_space == "display-p3"
    np.testing.assert_array_equal(pixels, levels)


@pytest.mark.parametrize(("points", "gamma"), [(ADOBE_RGB, 2.2), (PROPHOTO_RGB, 1.8)])
@pytest.mark.parametrize("depth", [8, 16])
def test_colors_of_other_wide_spaces_are_converted(points: Any, gamma: float, depth: int) -> None:
    top, color = 2**depth - 1, np.array([0.3, 0.8, 0.35])
    levels = np.rint(top * color).astype(np.uint8 if depth == 8 else np.uint16)
    levels[2] += depth == 16  # 16 bits that say more than 8
    file = io.BytesIO()
    profile = matrix_profile(points, (gamma,), description="wide")
    tifffile.imwrite(file, patch(tuple(levels), levels.dtype.type), photometric="rgb", iccprofile=profile)
    pixels, color_space = decode(file.getvalue())
    assert (color_space, pixels.dtype) == ("display-p3", levels.dtype)
    to_p3 = np.linalg.inv(_to_d50(P3_PRIMARIES)) @ _to_d50(points)
    expected = encoded(np.clip(to_p3 @ (levels / top) ** gamma, 0, 1))
    np.testing.assert_allclose(pixels[5, 5] / top, expected, atol=0.012)


def _to_d50(points: Any) -> np.ndarray:
    """Return what the profile itself says."""
    data = ImageCms.ImageCmsProfile(io.BytesIO(matrix_profile(points, SRGB_CURVE, description="x"))).profile
    return np.array([data.red_colorant[0], data.green_colorant[0], data.blue_colorant[0]]).T


@pytest.mark.parametrize(
    "profile",
    [
        None,
        SRGB_PROFILE,
        b"no profile at all",
        matrix_profile(SRGB_PRIMARIES, SRGB_CURVE),
        matrix_profile(SRGB_PRIMARIES, (2.2,)),
        display_p3_profile(),
    ],
)
def test_a_photo_that_needs_no_wide_space_is_decoded_as_ever(profile: bytes | None) -> None:
    photo = Image.blend(gradient(), Image.new("RGB", gradient().size, "gray"), 0.8)
    data = encode(photo, icc_profile=profile)
    pixels, color_space = decode(data)
    assert color_space == "srgb"
    np.testing.assert_array_equal(pixels, images.decode(data, max_pixels=1_000_000))


def test_transparency_is_kept_in_display_p3() -> None:
    pixels, color_space = decode(
        encode(solid("RGBA", (250, 10, 20, 100)), icc_profile=display_p3_profile()), background=None
    )
    assert (color_space, tuple(pixels[5, 5])) == ("display-p3", (250, 10, 20, 100))


@pytest.mark.parametrize("gamma", [1, 1.8, 2, 2.2, 2.4])
def test_another_curve_makes_no_wider_space(gamma: float) -> None:
    data = encode(gradient(), icc_profile=matrix_profile(SRGB_PRIMARIES, (gamma,)))
    assert decode(data).color_space == "srgb"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_the_red_of_srgb_is_known_in_display_p3(dtype: type) -> None:
    top = np.iinfo(dtype).max
    wide = convert(patch((top, 0, 0, top // 3), dtype), "srgb", "display-p3")
    assert wide.dtype == np.uint16
    np.testing.assert_allclose(wide[5, 5] / 257, (*RED_IN_P3, 85), atol=0.6)
    np.testing.assert_allclose(convert(wide, "display-p3", "srgb")[5, 5, :3] / 65535, (1, 0, 0), atol=0.001)


def test_every_color_of_srgb_survives_the_way_through_display_p3() -> None:
    colors = np.random.default_rng(7).integers(0, 256, (300, 40, 3), np.uint8)
    back = convert(convert(colors, "srgb", "display-p3"), "display-p3", "srgb")
    np.testing.assert_allclose(back / 257, colors, atol=0.1)
    assert convert(colors, "srgb", "srgb") is colors


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_stored_photo_says_its_color_space(dtype: type) -> None:
    pixels = patch((np.iinfo(dtype).max - 1, 10, 20), dtype)
    stored = deep_color.encode_canonical_png(pixels, "display-p3")
    decoded = deep_color.decode_stored(stored)
    assert decoded.color_space == "display-p3"
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert deep_color.encode_canonical_png(*decode(stored)) == stored
    assert deep_color.decode_stored(deep_color.encode_canonical_png(pixels)).color_space == "srgb"


@pytest.mark.parametrize("bit_depth", [8, 16])
def test_a_result_in_display_p3_has_its_profile(bit_depth: Any) -> None:
    png = deep_color.encode_png(patch((1, 0, 0)).astype(np.float32), bit_depth, "display-p3")
    assert Image.open(io.BytesIO(png)).info["icc_profile"] == DISPLAY_P3_PROFILE
    assert pyvips.Image.pngload_buffer(png)(5, 5) == [2**bit_depth - 1, 0, 0]


def test_a_preview_of_a_wide_image_is_srgb() -> None:
    jpeg = encoding.encode_jpeg(patch(RED_IN_P3), "display-p3", quality=98)
    assert b"ICC" not in jpeg
    assert pixel(images.decode_jpeg(jpeg)) == pytest.approx((255, 0, 0), abs=3)


def test_both_spaces_have_the_same_white() -> None:
    np.testing.assert_allclose(to_xyz(P3_PRIMARIES).sum(axis=1), to_xyz(SRGB_PRIMARIES).sum(axis=1))
