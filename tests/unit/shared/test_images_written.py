"""Sizes, and what is written."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from support.image_files import colour, decode, picture, plain, saved

from shared import images
from shared.errors import ImageTooSmall
from shared.recipe import Recipe


def test_fit_scales_the_longest_side_up_and_down() -> None:
    assert [images.fit_size((4000, 3000), 512), images.fit_size((3000, 4000), 512), images.fit_size((64, 48), 512)] == [
        (512, 384),
        (384, 512),
        (512, 384),
    ]


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(64, 4096))
def test_fit_keeps_the_shape_or_says_why_not(width: int, height: int, longest: int) -> None:
    try:
        fitted = images.fit_size((width, height), longest)
    except ImageTooSmall:
        assert longest * min(width, height) / max(width, height) < images.MIN_SIDE
        return
    assert max(fitted) == longest
    assert min(fitted) >= images.MIN_SIDE
    assert abs(min(fitted) - longest * min(width, height) / max(width, height)) <= 0.5


def test_an_extreme_shape_is_too_small_once_it_is_scaled() -> None:
    with pytest.raises(ImageTooSmall, match="512 x 4"):
        images.fit_size((8000, 64), 512)


def test_resizing_gives_the_longest_side_asked_for() -> None:
    assert images.resize_longest_side(picture((300, 200)), 150).size == (150, 100)
    assert images.resize_longest_side(picture((300, 200)), 600).size == (600, 400)


# What is written.


def test_the_canonical_bytes_are_the_same_for_the_same_pixels_however_they_came() -> None:
    ways = [
        saved(picture(), "PNG", compress_level=0),
        saved(picture(), "TIFF"),
        saved(picture(), "WEBP", lossless=True),
    ]
    assert len({images.encode_canonical_png(decode(way)) for way in ways}) == 1


def test_the_canonical_bytes_decode_to_the_same_pixels_and_the_same_bytes() -> None:
    kept = images.encode_canonical_png(picture())
    assert decode(kept).tobytes() == picture().tobytes()
    assert images.encode_canonical_png(decode(kept)) == kept


def test_no_more_is_kept_of_an_input_than_the_largest_recipe_can_use() -> None:
    kept = decode(images.encode_canonical_png(plain("RGB", "teal", (5000, 1000))), max_pixels=10**7)
    assert kept.size == (4096, 819)
    bounds = [getattr(bound, "le", None) for bound in Recipe.model_fields["size"].metadata]
    assert images.MAX_SIDE in bounds


def test_a_png_is_tagged_as_srgb_and_the_same_every_time() -> None:
    data = images.encode_png(picture())
    assert data == images.encode_png(picture())
    with Image.open(io.BytesIO(data)) as image:
        assert image.info == {"srgb": 0}


def test_an_array_of_floats_is_rounded_and_clipped() -> None:
    row = np.array([-1, 0, 0.4999 / 255, 0.5001 / 255, 0.5, 1, 2, np.nan], np.float32)
    image = images.to_image(np.repeat(row[None, :, None], 3, axis=2))
    assert [colour(image, (x, 0))[0] for x in range(8)] == [0, 0, 0, 1, 128, 255, 255, 0]


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda shape: (*shape, 3))))
def test_bytes_survive_the_way_through_floats_and_png(pixels: np.ndarray) -> None:
    floats = images.to_array(images.to_image(pixels))
    assert floats.dtype == np.float32
    with Image.open(io.BytesIO(images.encode_png(floats))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_jpeg_is_shrunk_to_the_longest_side_and_never_enlarged() -> None:
    assert decode(images.encode_jpeg(picture((400, 200)), longest=100)).size == (100, 50)
    assert decode(images.encode_jpeg(picture((400, 200)), longest=1000)).size == (400, 200)


def test_a_jpeg_is_smaller_at_lower_quality() -> None:
    assert len(images.encode_jpeg(picture(), quality=30)) < len(images.encode_jpeg(picture(), quality=95))


def test_shrinking_a_preview_leaves_the_picture_alone() -> None:
    image = picture()
    images.encode_jpeg(image, longest=32)
    assert image.size == (64, 48)
