"""Images that are rejected, and with which error, including random bytes."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from support.image_files import WRITABLE_FORMATS, decode, encode, gradient, palette_image, solid, with_metadata

from shared.errors import AnimatedImage, BadInput, BrokenImage, ImageTooLarge, ImageTooSlow, ImageTooSmall, NotAnImage
from shared.imaging import images


@pytest.mark.parametrize(
    "data", [b"hello", b"<svg/>", b"%PDF-1.7", b"\0\0\0\x18ftypmp42" + bytes(40), encode(gradient(), "BMP")]
)
def test_a_file_that_is_not_an_accepted_image_is_rejected(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="JPEG, PNG, WebP, GIF, TIFF, HEIC or AVIF"):
        decode(data)


def test_an_empty_file_is_called_empty() -> None:
    with pytest.raises(NotAnImage, match=r"The file is empty\."):
        decode(b"")


def test_a_heic_file_that_is_cut_off_is_broken() -> None:
    with pytest.raises(BrokenImage):
        decode(b"\0\0\0\x18ftypheic" + bytes(40))


@pytest.mark.parametrize(
    ("image", "reason"), [(solid("F", 0.5), "floating point"), (solid("I", 7), "with a sign"), (solid("LAB", 0), "Lab")]
)
def test_levels_that_are_not_accepted_are_named(image: Image.Image, reason: str) -> None:
    with pytest.raises(NotAnImage, match=reason):
        decode(encode(image, "TIFF"))


def test_a_jpeg_with_hundreds_of_scans_is_refused_before_it_is_decoded() -> None:
    """Each scan takes as long as all pixels of the image. What follows the image, such as a video, has none."""
    data = encode(gradient(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    slow = data[:last] + data[last:-2] * 300 + data[-2:]
    decode(data + b"\xff\xda" * 300, max_pixels=64 * 48)
    decode(slow)
    with pytest.raises(ImageTooSlow, match=r"The JPEG has 30\d scans"):
        decode(slow, max_pixels=64 * 48)


def test_markers_in_a_profile_neither_hide_nor_add_scans() -> None:
    data = encode(gradient(), "JPEG", progressive=True, icc_profile=b"\xff\xda" * 300)
    decode(data, max_pixels=64 * 48)
    last = data.rindex(b"\xff\xda")
    slow = data.replace(b"\xff\xda" * 300, b"\xff\xd9" * 300)[:last] + data[last:-2] * 300 + data[-2:]
    with pytest.raises(ImageTooSlow, match=r"The JPEG has 30\d scans"):
        decode(slow, max_pixels=64 * 48)


@pytest.mark.parametrize("kind", WRITABLE_FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_broken(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = encode(noise, kind)
    with pytest.raises(BrokenImage):
        decode(data[: max(8, int(len(data) * share))])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_more_than_one_frame_or_page_is_rejected(kind: str) -> None:
    with pytest.raises(AnimatedImage):
        decode(encode(gradient(), kind, save_all=True, append_images=[solid("RGB", "red", (64, 48))]))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_single_frame_is_accepted(kind: str) -> None:
    assert decode(encode(gradient(), kind, save_all=True)).size == (64, 48)


def claiming(kind: str, side: int) -> bytes:
    """A small file whose header claims side x side pixels."""
    data = bytearray(encode(gradient(), kind, **({"lossless": True, "exif": b"Exif\0\0"} if kind == "WEBP" else {})))
    if kind == "PNG":
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    elif kind == "JPEG":
        place = data.index(b"\xff\xc0") + 5
        data[place : place + 4] = struct.pack(">HH", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "TIFF":
        for tag in (256, 257):
            place = (
                data.index(struct.pack("<HHI", tag, 4, 1))
                if struct.pack("<HHI", tag, 4, 1) in data
                else data.index(struct.pack("<HHI", tag, 3, 1))
            )
            data[place : place + 12] = struct.pack("<HHII", tag, 4, 1, side)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
def test_a_header_with_too_many_pixels_is_rejected_before_decoding(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match="50000 x 50000"):
        decode(claiming(kind, 50_000), max_pixels=64_000_000)


def test_the_pixel_limit_is_the_argument_and_not_pillows() -> None:
    data = encode(solid("1", 0, (20_000, 10_000)))  # twice the limit at which Pillow would raise
    with pytest.raises(ImageTooLarge):
        decode(data, max_pixels=199_999_999)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (20_000, 10_000)


def test_exactly_the_limit_is_accepted() -> None:
    data = encode(gradient())
    assert decode(data, max_pixels=64 * 48).size == (64, 48)
    with pytest.raises(ImageTooLarge, match="3,071"):
        decode(data, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 31)])
def test_a_side_under_32_pixels_is_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooSmall, match="at least 32"):
        decode(encode(solid("RGB", "red", size)))


# Whatever comes.

SEEDS = {kind: encode(gradient(), kind) for kind in WRITABLE_FORMATS} | {
    "MPO": with_metadata("JPEG"),
    "P": palette_image(transparent=True),
}


def survives(data: bytes) -> None:
    try:
        image = decode(data)
    except BadInput:
        return
    assert image.mode == "RGB"
    assert not image.info


@given(st.binary(max_size=300))
@example(b"\x89PNG\r\n\x1a\n")
def test_any_bytes_are_an_image_or_bad_input(data: bytes) -> None:
    survives(data)


@given(st.sampled_from(images.FILE_SIGNATURES), st.binary(max_size=300))
def test_any_bytes_behind_a_signature_are_an_image_or_bad_input(signature: bytes, data: bytes) -> None:
    survives(signature + data)


@settings(max_examples=300)
@given(st.data())
def test_any_damage_to_a_real_file_is_an_image_or_bad_input(data: st.DataObject) -> None:
    broken = bytearray(SEEDS[data.draw(st.sampled_from(sorted(SEEDS)))])
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=6)
    ):
        broken[place] = value
    survives(bytes(broken[: data.draw(st.integers(0, len(broken)))] if data.draw(st.booleans()) else broken))
