"""Strangers' images in, clean pixels out."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import ExifTags, Image
from support.image_files import (
    Colour,
    close,
    colour,
    decode,
    green_ink_profile,
    linear_gray_profile,
    palette,
    picture,
    plain,
    saved,
    swapped_profile,
    with_secrets,
)

from shared import images


@pytest.mark.parametrize("kind", images.ACCEPTED_FORMATS)
def test_each_accepted_format_comes_out_as_the_same_rgb_picture(kind: str) -> None:
    image = decode(saved(picture(), kind))
    assert (image.mode, image.size) == ("RGB", (64, 48))
    assert np.abs(images.to_array(image) - images.to_array(picture())).mean() < 0.03  # GIF and JPEG are not exact


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_a_lossless_file_comes_out_exactly(kind: str) -> None:
    assert decode(saved(picture(), kind)).tobytes() == picture().tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_turned_photo_comes_out_upright(kind: str, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera does to the upright picture, as Transpose
    stored = picture() if orientation == 1 else picture().transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"quality": 95} if kind in {"JPEG", "WEBP"} else {}
    image = decode(saved(stored, kind, exif=exif, **options))
    assert image.size == (64, 48)
    assert np.abs(images.to_array(image) - images.to_array(picture())).mean() < 0.02


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_place_camera_or_comment_is_left_in_any_output(kind: str) -> None:
    data = with_secrets(kind)
    assert b"SECRET" in data
    image = decode(data)
    assert not image.info
    assert not image.getexif()
    for output in (images.encode_canonical_png(image), images.encode_png(image), images.encode_jpeg(image)):
        assert b"SECRET" not in output
        assert b"Exif" not in output
        assert b"ICC" not in output
        assert b"iCCP" not in output


def test_even_an_image_with_metadata_is_written_without() -> None:
    with Image.open(io.BytesIO(with_secrets("JPEG"))) as image:
        for output in (images.encode_canonical_png(image), images.encode_png(image), images.encode_jpeg(image)):
            assert not any(word in output for word in (b"SECRET", b"Exif", b"ICC", b"iCCP"))


def test_colours_are_those_that_the_profile_means() -> None:
    data = saved(plain("RGB", (0, 255, 0)), icc_profile=swapped_profile())
    assert close(colour(decode(data)), (255, 0, 0))


def test_alpha_stays_itself_while_colours_go_through_the_profile() -> None:
    data = saved(plain("RGBA", (0, 255, 0, 128)), icc_profile=swapped_profile())
    assert close(colour(decode(data)), (255, 127, 127))


@pytest.mark.parametrize("image", [plain("L", 128), plain("LA", (128, 255)), plain("I;16", 128 * 257)])
def test_a_gray_profile_counts(image: Image.Image) -> None:
    assert close(colour(decode(saved(image, icc_profile=linear_gray_profile()))), (188, 188, 188))


@pytest.mark.parametrize("broken", [b"no profile at all", linear_gray_profile(), swapped_profile()[:200]])
def test_a_profile_that_cannot_be_used_is_passed_over(broken: bytes) -> None:
    assert colour(decode(saved(plain("RGB", (10, 200, 30)), icc_profile=broken))) == (10, 200, 30)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_comes_out_in_its_colours_and_not_in_their_negative(kind: str) -> None:
    data = saved(plain("CMYK", (255, 0, 0, 0)), kind)
    assert close(colour(decode(data)), (0, 255, 255))
    assert close(colour(decode(saved(plain("CMYK", (0, 0, 0, 0)), kind))), (255, 255, 255))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_with_a_profile_comes_out_as_the_profile_means(kind: str) -> None:
    ink, paper = (
        saved(plain("CMYK", inks), kind, icc_profile=green_ink_profile()) for inks in ((255, 0, 0, 0), (0,) * 4)
    )
    red, green, blue = colour(decode(ink))
    assert green > 100 > max(red, blue)
    assert close(colour(decode(paper)), (255, 255, 255), by=6)


def png(pixels: np.ndarray, colour_type: int, transparent: bytes = b"") -> bytes:
    """A 16-bit PNG, which Pillow itself cannot write in colour."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"tRNS", transparent), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
        if body or name == b"IEND"
    )


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (0x8080, 128), (257 * 200, 200), (0xFFFF, 255)])
def test_sixteen_bits_become_the_same_shade_in_eight(value: int, wanted: int) -> None:
    gray, rgb = np.full((40, 40), value), np.full((40, 40, 3), value)
    for data in (png(gray, 0), png(rgb, 2), saved(Image.fromarray(gray.astype(np.uint16)), "TIFF")):
        assert colour(decode(data)) == (wanted,) * 3


def test_sixteen_bits_with_alpha_are_flattened_on_white() -> None:
    half = np.full((40, 40, 1), 0x8080)
    assert close(colour(decode(png(np.concatenate([half * 0, half], axis=2), 4))), (127, 127, 127))
    assert close(colour(decode(png(np.concatenate([half * 0] * 3 + [half], axis=2), 6))), (127, 127, 127))


def test_the_transparent_shade_of_a_sixteen_bit_gray_becomes_white() -> None:
    pixels = np.full((40, 40), 1000)
    pixels[:20] = 30_000
    image = decode(png(pixels, 0, struct.pack(">H", 1000)))
    assert [colour(image, (5, 5)), colour(image, (5, 35))] == [(117, 117, 117), (255, 255, 255)]


def test_a_palette_is_looked_up_and_its_transparent_entry_is_white() -> None:
    assert colour(decode(palette(transparent=False))) == (0, 0, 200)
    assert colour(decode(palette(transparent=True))) == (255, 255, 255)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (plain("RGBA", (255, 0, 0, 0)), (255, 255, 255)),
        (plain("RGBA", (255, 0, 0, 255)), (255, 0, 0)),
        (plain("RGBA", (0, 0, 0, 51)), (204, 204, 204)),
        (plain("LA", (0, 51)), (204, 204, 204)),
        (plain("L", 77), (77, 77, 77)),
        (plain("1", 1), (255, 255, 255)),
    ],
)
def test_gray_and_alpha_are_flattened_on_white(image: Image.Image, wanted: Colour) -> None:
    assert colour(decode(saved(image))) == wanted


def test_the_transparent_colour_of_an_rgb_png_becomes_white() -> None:
    assert colour(decode(saved(plain("RGB", (9, 8, 7)), transparency=(9, 8, 7)))) == (255, 255, 255)


def test_a_phone_photo_with_a_second_picture_inside_is_its_first_picture() -> None:
    data = saved(picture(), "MPO", save_all=True, append_images=[plain("RGB", "red")], quality=95)
    assert np.abs(images.to_array(decode(data)) - images.to_array(picture())).mean() < 0.02


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_exif_is_no_reason_to_refuse_a_photo() -> None:
    data = saved(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12garbage")
    assert decode(data).size == (64, 48)


def test_many_threads_decode_at_once() -> None:
    data = [with_secrets(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")] * 4
    alone = [decode(each).tobytes() for each in data]
    with ThreadPoolExecutor(8) as threads:
        assert [image.tobytes() for image in threads.map(decode, data)] == alone
