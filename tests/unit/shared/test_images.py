"""Decoding untrusted images to clean pixels."""

import io
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image
from support.image_files import (
    WRITABLE_FORMATS,
    Color,
    are_close,
    decode,
    display_p3_profile,
    encode,
    gradient,
    green_ink_profile,
    linear_gray_profile,
    palette_image,
    pixel,
    sixteen_bit_png,
    solid,
    srgb_to_display_p3,
    swapped_profile,
    with_metadata,
)

from shared.imaging import encoding, images
from shared.imaging.color_profiles import SRGB_PROFILE


@pytest.mark.parametrize("kind", WRITABLE_FORMATS)
def test_every_accepted_format_decodes_to_the_same_rgb_image(kind: str) -> None:
    image = decode(encode(gradient(), kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(images.to_array(image) - images.to_array(gradient())).mean() < 0.03  # GIF and JPEG are not exact


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_lossless_file_decodes_exactly(kind: str) -> None:
    assert decode(encode(gradient(), kind)).tobytes() == gradient().tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "AVIF"])
def test_a_rotated_photo_is_decoded_upright(kind: str, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera does to the upright picture, as Transpose
    stored = gradient() if orientation == 1 else gradient().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95} if kind in {"JPEG", "AVIF"} else {}
    image = decode(encode(stored, kind, exif=exif, **options))
    assert image.size == (64, 48)
    assert np.abs(images.to_array(image) - images.to_array(gradient())).mean() < 0.02


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_output_contains_metadata(kind: str) -> None:
    data = with_metadata(kind)
    assert b"SECRET" in data
    image = decode(data)
    assert not image.info
    assert not image.getexif()
    assert_without_metadata(image)


def test_an_image_with_metadata_is_encoded_without_it() -> None:
    with Image.open(io.BytesIO(with_metadata("JPEG"))) as image:
        assert_without_metadata(image)


def assert_without_metadata(image: Image.Image) -> None:
    """Check all encodings; a result has the profile of sRGB."""
    for output in (encoding.encode_canonical_png(image), encoding.encode_jpeg(image)):
        assert not any(word in output for word in (b"SECRET", b"Exif", b"ICC", b"iCCP"))
    result = encoding.encode_png(image)
    assert not any(word in result for word in (b"SECRET", b"Exif"))
    assert Image.open(io.BytesIO(result)).info == {"icc_profile": SRGB_PROFILE}


def test_colors_are_converted_by_the_profile() -> None:
    data = encode(solid("RGB", (0, 255, 0)), icc_profile=swapped_profile())
    assert are_close(pixel(decode(data)), (255, 0, 0))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("color", [(200, 100, 50), (128, 128, 128), (30, 90, 160)])
def test_a_display_p3_photo_has_the_same_colors_in_srgb(kind: str, color: Color) -> None:
    options: dict[str, object] = {"JPEG": {"quality": 98, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    same = tuple(round(255 * value) for value in srgb_to_display_p3(np.array(color) / 255))
    assert color[0] == color[1] or not are_close(same, color, by=4), "another number for the same color"
    data = encode(solid("RGB", same), kind, icc_profile=display_p3_profile(), **options)
    assert are_close(pixel(decode(data)), color, by=2)


def test_a_color_outside_of_srgb_is_clipped() -> None:
    reds = [(255, 0, 0), (250, 0, 0)]
    clipped = [pixel(decode(encode(solid("RGB", red), icc_profile=display_p3_profile()))) for red in reds]
    assert clipped == [(255, 0, 0)] * 2


def test_alpha_is_not_changed_by_the_profile() -> None:
    data = encode(solid("RGBA", (0, 255, 0, 128)), icc_profile=swapped_profile())
    assert are_close(pixel(decode(data)), (255, 127, 127))


@pytest.mark.parametrize("image", [solid("L", 128), solid("LA", (128, 255)), solid("I;16", 128 * 257)])
def test_a_gray_profile_is_applied(image: Image.Image) -> None:
    assert are_close(pixel(decode(encode(image, icc_profile=linear_gray_profile()))), (188, 188, 188))


@pytest.mark.parametrize("broken", [b"no profile at all", linear_gray_profile(), swapped_profile()[:200]])
def test_an_unusable_profile_is_ignored(broken: bytes) -> None:
    assert pixel(decode(encode(solid("RGB", (10, 200, 30)), icc_profile=broken))) == (10, 200, 30)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_not_inverted(kind: str) -> None:
    data = encode(solid("CMYK", (255, 0, 0, 0)), kind)
    assert are_close(pixel(decode(data)), (0, 255, 255))
    assert are_close(pixel(decode(encode(solid("CMYK", (0, 0, 0, 0)), kind))), (255, 255, 255))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted_by_its_profile(kind: str) -> None:
    ink, paper = (
        encode(solid("CMYK", inks), kind, icc_profile=green_ink_profile()) for inks in ((255, 0, 0, 0), (0,) * 4)
    )
    red, green, blue = pixel(decode(ink))
    assert green > 100 > max(red, blue)
    assert are_close(pixel(decode(paper)), (255, 255, 255), by=6)


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (0x8080, 128), (257 * 200, 200), (0xFFFF, 255)])
def test_sixteen_bits_become_the_same_shade_in_eight(value: int, expected: int) -> None:
    gray, rgb = np.full((40, 40), value), np.full((40, 40, 3), value)
    for data in (
        sixteen_bit_png(gray, 0),
        sixteen_bit_png(rgb, 2),
        encode(Image.fromarray(gray.astype(np.uint16)), "TIFF"),
    ):
        assert pixel(decode(data)) == (expected,) * 3


def test_sixteen_bits_with_alpha_are_flattened_on_white() -> None:
    half = np.full((40, 40, 1), 0x8080)
    assert are_close(pixel(decode(sixteen_bit_png(np.concatenate([half * 0, half], axis=2), 4))), (127, 127, 127))
    assert are_close(
        pixel(decode(sixteen_bit_png(np.concatenate([half * 0] * 3 + [half], axis=2), 6))), (127, 127, 127)
    )


def test_the_transparent_shade_of_a_sixteen_bit_gray_becomes_white() -> None:
    pixels = np.full((40, 40), 1000)
    pixels[:20] = 30_000
    image = decode(sixteen_bit_png(pixels, 0, struct.pack(">H", 1000)))
    assert [pixel(image, (5, 5)), pixel(image, (5, 35))] == [(117, 117, 117), (255, 255, 255)]


def test_a_palette_is_applied_and_its_transparent_entry_is_white() -> None:
    assert pixel(decode(palette_image(transparent=False))) == (0, 0, 200)
    assert pixel(decode(palette_image(transparent=True))) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (solid("RGBA", (255, 0, 0, 0)), (255, 255, 255)),
        (solid("RGBA", (255, 0, 0, 255)), (255, 0, 0)),
        (solid("RGBA", (0, 0, 0, 51)), (204, 204, 204)),
        (solid("LA", (0, 51)), (204, 204, 204)),
        (solid("L", 77), (77, 77, 77)),
        (solid("1", 1), (255, 255, 255)),
    ],
)
def test_gray_and_alpha_are_flattened_on_white(image: Image.Image, expected: Color) -> None:
    assert pixel(decode(encode(image))) == expected


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_without_a_background_an_image_keeps_its_alpha_and_the_colors_under_it(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(solid("RGBA", (200, 100, 50, 128)), kind, **options)
    image = images.decode(data, max_pixels=10_000, background=None)
    assert image.mode == "RGBA"
    assert image.getpixel((20, 20)) == (200, 100, 50, 128)
    assert not image.info


def test_an_alpha_that_is_opaque_everywhere_is_dropped() -> None:
    data = encode(solid("RGBA", (200, 100, 50, 255)))
    assert images.decode(data, max_pixels=10_000, background=None).mode == "RGB"


def test_alpha_is_turned_upright_with_its_image() -> None:
    image = solid("RGBA", (9, 9, 9, 255), (64, 48))
    image.paste((9, 9, 9, 0), (0, 0, 64, 8))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # turn right: the top edge becomes the right one
    upright = images.decode(encode(image, exif=exif), max_pixels=10_000, background=None)
    assert upright.size == (48, 64)
    assert [upright.getpixel((x, 30))[3] for x in (0, 38, 42)] == [255, 255, 0]  # type: ignore[index]  # RGBA has four


def test_the_transparent_color_of_an_rgb_png_becomes_white() -> None:
    assert pixel(decode(encode(solid("RGB", (9, 8, 7)), transparency=(9, 8, 7)))) == (255, 255, 255)


def test_a_phone_photo_with_a_second_image_inside_is_its_first_image() -> None:
    data = encode(gradient(), "MPO", save_all=True, append_images=[solid("RGB", "red")], quality=95)
    assert np.abs(images.to_array(decode(data)) - images.to_array(gradient())).mean() < 0.02


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_is_ignored() -> None:
    data = encode(gradient(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12garbage")
    assert decode(data).size == (64, 48)


def test_many_threads_decode_at_once() -> None:
    data = [with_metadata(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")] * 4
    alone = [decode(each).tobytes() for each in data]
    with ThreadPoolExecutor(8) as threads:
        assert [image.tobytes() for image in threads.map(decode, data)] == alone
