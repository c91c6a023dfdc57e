"""Scaling and encoding of images."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageCms
from support.image_files import decode, decode_png, encode, gradient, pixel, solid

from shared.errors import BrokenImage, ImageTooSmall
from shared.imaging import encoding, images
from shared.imaging.color_profiles import SRGB_PROFILE
from shared.recipe import Recipe


def test_fit_size_scales_the_longest_side_up_and_down() -> None:
    assert [images.fit_size((4000, 3000), 512), images.fit_size((3000, 4000), 512), images.fit_size((64, 48), 512)] == [
        (512, 384),
        (384, 512),
        (512, 384),
    ]


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(64, 4096))
def test_fit_size_keeps_the_aspect_ratio_or_raises(width: int, height: int, longest: int) -> None:
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


def test_resizing_gives_the_requested_longest_side() -> None:
    assert images.resize_longest_side(gradient((300, 200)), 150).size == (150, 100)
    assert images.resize_longest_side(gradient((300, 200)), 600).size == (600, 400)


# Encoding.


def test_equal_pixels_give_equal_canonical_bytes_whatever_the_source() -> None:
    files = [
        encode(gradient(), "PNG", compress_level=0),
        encode(gradient(), "TIFF"),
        encode(gradient(), "WEBP", lossless=True),
    ]
    assert len({encoding.encode_canonical_png(decode(file)) for file in files}) == 1


def test_photos_that_differ_only_where_they_are_transparent_are_stored_once() -> None:
    files = []
    for hidden in ((0, 0, 0, 0), (255, 0, 255, 0)):
        photo = solid("RGBA", hidden)
        photo.paste((10, 20, 30, 77), (0, 0, 40, 10))
        files.append(encoding.encode_canonical_png(photo))
    assert files[0] == files[1]
    pixels = decode_png(files[0])
    assert (pixels[5, 5].tolist(), pixels[30, 5].tolist()) == ([10, 20, 30, 77], [0, 0, 0, 0])


def test_scaling_a_transparent_photo_for_storage_does_not_mix_in_hidden_colors() -> None:
    photo = solid("RGBA", (0, 0, 255, 0), (5000, 1000))
    photo.paste((250, 0, 0, 255), (0, 0, 2500, 1000))
    pixels = decode_png(encoding.encode_canonical_png(photo))
    assert pixels.shape == (819, 4096, 4)
    visible = pixels[pixels[..., 3] > 0]
    assert visible[:, 2].max() <= 2, "no blue at the edge"
    assert pixels[400, [100, 4000], 3].tolist() == [255, 0]


def test_a_stored_image_that_is_cut_off_is_broken() -> None:
    with pytest.raises(BrokenImage, match="stored image"):
        decode_png(encoding.encode_canonical_png(gradient())[:-200])


def test_canonical_bytes_survive_decoding_and_encoding() -> None:
    png = encoding.encode_canonical_png(gradient())
    assert decode(png).tobytes() == gradient().tobytes()
    assert encoding.encode_canonical_png(decode(png)) == png


def test_a_stored_input_is_at_most_as_large_as_the_largest_recipe() -> None:
    stored = decode(encoding.encode_canonical_png(solid("RGB", "teal", (5000, 1000))), max_pixels=10**7)
    assert stored.size == (4096, 819)
    bounds = [getattr(bound, "le", None) for bound in Recipe.model_fields["size"].metadata]
    assert images.MAX_SIDE in bounds


def test_a_stored_input_is_tagged_as_srgb() -> None:
    with Image.open(io.BytesIO(encoding.encode_canonical_png(gradient()))) as image:
        assert image.info == {"srgb": 0}


def test_a_result_has_the_profile_of_srgb_and_is_deterministic() -> None:
    data = encoding.encode_png(gradient())
    assert data == encoding.encode_png(gradient())
    with Image.open(io.BytesIO(data)) as image:
        assert image.info == {"icc_profile": SRGB_PROFILE}


def test_the_profile_is_that_of_srgb_and_has_no_time_of_this_process() -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(SRGB_PROFILE))
    assert ImageCms.getProfileDescription(profile).strip() == "sRGB built-in"
    assert struct.unpack(">6H", SRGB_PROFILE[24:36]) == (1999, 10, 18, 0, 0, 0)
    assert decode(encode(gradient(), icc_profile=SRGB_PROFILE)).tobytes() == gradient().tobytes()


def test_an_array_of_floats_is_rounded_and_clipped() -> None:
    row = np.array([-1, 0, 0.4999 / 255, 0.5001 / 255, 0.5, 1, 2, np.nan], np.float32)
    image = encoding.to_image(np.repeat(row[None, :, None], 3, axis=2))
    assert [pixel(image, (x, 0))[0] for x in range(8)] == [0, 0, 0, 1, 128, 255, 255, 0]


@given(arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=12).map(lambda shape: (*shape, 3))))
def test_bytes_survive_conversion_to_floats_and_png(pixels: np.ndarray) -> None:
    floats = images.to_array(encoding.to_image(pixels))
    assert floats.dtype == np.float32
    with Image.open(io.BytesIO(encoding.encode_png(floats))) as image:
        assert np.array_equal(np.asarray(image), pixels)


def test_a_jpeg_is_scaled_down_to_the_longest_side_and_never_up() -> None:
    assert decode(encoding.encode_jpeg(gradient((400, 200)), longest=100)).size == (100, 50)
    assert decode(encoding.encode_jpeg(gradient((400, 200)), longest=1000)).size == (400, 200)


def test_a_jpeg_is_smaller_at_lower_quality() -> None:
    assert len(encoding.encode_jpeg(gradient(), quality=30)) < len(encoding.encode_jpeg(gradient(), quality=95))


def test_scaling_a_preview_does_not_change_the_image() -> None:
    image = gradient()
    encoding.encode_jpeg(image, longest=32)
    assert image.size == (64, 48)
