"""The alpha of a photo: separated from its colors, and attached to a result."""

import numpy as np
import pytest

from shared.imaging.transparency import attach_alpha, separate_alpha


def rgba(*, dtype: type = np.uint8, color: int = 200) -> np.ndarray:
    """Return a red square, half transparent at its left edge, in the middle of a transparent blue image."""
    full = np.iinfo(dtype).max
    pixels = np.zeros((48, 64, 4), dtype)
    pixels[..., 2] = full  # not seen
    pixels[16:32, 20:44] = (color * (full // 255), 0, 0, full)
    pixels[16:32, 20, 3] = full // 255 * 51
    return pixels


def test_an_opaque_image_has_no_alpha_and_stays_the_same_array() -> None:
    pixels = rgba()[..., :3]
    colors, alpha = separate_alpha(pixels)
    assert colors is pixels
    assert alpha is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_separated_as_floats(dtype: type) -> None:
    colors, alpha = separate_alpha(rgba(dtype=dtype))
    assert alpha is not None
    assert (alpha.dtype, alpha.shape, colors.dtype) == (np.float32, (48, 64), dtype)
    assert [alpha[0, 0], alpha[20, 20], alpha[20, 30]] == pytest.approx([0, 0.2, 1], abs=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_transparent_pixels_get_the_colors_around_them_and_visible_ones_keep_theirs(dtype: type) -> None:
    pixels = rgba(dtype=dtype)
    colors, _ = separate_alpha(pixels)
    visible = pixels[..., 3] > 0
    np.testing.assert_array_equal(colors[visible], pixels[visible][:, :3])
    red = 200 * (np.iinfo(dtype).max // 255)
    np.testing.assert_allclose(colors[..., 0] / red, 1, atol=0.02)
    assert not colors[..., 1:].any(), "the blue that nobody sees is gone"


def test_transparent_pixels_between_two_colors_are_a_gradient() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :8] = (250, 0, 0, 255)
    pixels[:, 56:] = (0, 0, 250, 255)
    row = separate_alpha(pixels)[0][32].astype(int)
    assert row[12, 0] > 200
    assert row[51, 2] > 200
    assert np.abs(np.diff(row, axis=0)).max() < 60, "no hard edge between them"


def test_a_fully_transparent_photo_is_black() -> None:
    colors, alpha = separate_alpha(np.full((40, 32, 4), (9, 9, 9, 0), np.uint8))
    assert alpha is not None
    assert (colors.max(), alpha.max()) == (0, 0)


def test_an_alpha_of_the_same_size_is_attached_as_it_is() -> None:
    alpha = np.random.default_rng(1).random((48, 64), np.float32)
    image = np.random.default_rng(2).random((48, 64, 3), np.float32)
    attached = attach_alpha(image, alpha)
    np.testing.assert_array_equal(attached, np.dstack([image, alpha]))
    assert attach_alpha(image, None) is image


@pytest.mark.parametrize("size", [(24, 32), (96, 128), (36, 48)])
def test_a_scaled_alpha_stays_between_0_and_1_and_keeps_its_area(size: tuple[int, int]) -> None:
    alpha = np.zeros((48, 64), np.float32)
    alpha[16:32, 20:44] = 1
    scaled = attach_alpha(np.zeros((*size, 3), np.float32), alpha)[..., 3]
    assert (scaled.min(), scaled.max()) == (0, 1)
    assert scaled.mean() == pytest.approx(alpha.mean(), rel=0.01)
    height, width = size
    assert scaled[height // 2, width // 2] == 1
