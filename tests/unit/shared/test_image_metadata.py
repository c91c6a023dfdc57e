"""Files with large, damaged or misleading metadata: it never decides whether pixels are accepted."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image, TiffImagePlugin
from support.image_files import decode, encode, gradient, png_chunk, swapped_profile, with_chunks, with_metadata

from shared.imaging.containers import without_metadata

PIXELS = np.asarray(gradient())
TEXT = b"Comment\0\0" + zlib.compress(bytes(3_000_000))
EXIF = Image.Exif()
EXIF[ExifTags.Base.Orientation] = 6


def assert_same_picture(data: bytes) -> None:
    np.testing.assert_array_equal(np.asarray(decode(data)), PIXELS)


@pytest.mark.parametrize(
    "chunk",
    [
        png_chunk(b"zTXt", TEXT),
        png_chunk(b"tEXt", b"Comment\0" + bytes(2_000_000)),
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(3_000_000))),
        png_chunk(b"tEXt", b"Comment\0broken")[:-1] + b"?",
        png_chunk(b"iCCP", b"swapped\0\0" + zlib.compress(swapped_profile()))[:-1] + b"?",
        png_chunk(b"iCCP", b"name\0\0" + zlib.compress(bytes(5_000_000))),
        png_chunk(b"iCCP", b"name\0\0no zlib stream"),
        png_chunk(b"iCCP", b"no separator"),
        png_chunk(b"gAMA", b"\0"),
        png_chunk(b"gAMA", bytes(4)),
        png_chunk(b"cHRM", bytes(31)),
        png_chunk(b"tRNS", b"\0" * 5),
        png_chunk(b"pHYs", b"\0"),
        png_chunk(b"tIME", b"\xff" * 7),
        png_chunk(b"eXIf", bytes(70_000)),
        png_chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    ],
    ids=lambda chunk: f"{chunk[4:8].decode()}-{len(chunk)}",
)
def test_damaged_and_large_chunks_of_a_png_are_ignored(chunk: bytes) -> None:
    assert_same_picture(with_chunks(encode(gradient()), chunk))


def test_the_first_profile_of_a_png_counts_and_must_come_before_the_pixels() -> None:
    plain, profile = encode(gradient()), png_chunk(b"iCCP", b"swapped\0\0" + zlib.compress(swapped_profile()))
    swapped = np.asarray(decode(encode(gradient(), icc_profile=swapped_profile())))
    end = plain.index(b"IEND") - 4
    np.testing.assert_array_equal(np.asarray(decode(with_chunks(plain, profile, profile))), swapped)
    assert_same_picture(plain[:end] + profile + plain[end:])


def test_an_orientation_that_chromium_ignores_turns_nothing() -> None:
    """That of a WebP, and of a PNG behind its pixels."""
    plain, exif = encode(gradient()), EXIF.tobytes().removeprefix(b"Exif\0\0")
    end = plain.index(b"IEND") - 4
    assert_same_picture(plain[:end] + png_chunk(b"eXIf", exif) + plain[end:])
    assert_same_picture(encode(gradient(), "WEBP", lossless=True, exif=EXIF))


def test_a_palette_that_is_shorter_than_its_transparency_ignores_it() -> None:
    image = gradient().quantize(4)
    data = encode(image)
    palette = np.asarray(image.convert("RGB"))
    broken = (
        data.replace(data[data.index(b"IDAT") - 4 :], b"")
        + png_chunk(b"tRNS", bytes(5))
        + data[data.index(b"IDAT") - 4 :]
    )
    np.testing.assert_array_equal(np.asarray(decode(broken)), palette)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


@pytest.mark.parametrize(
    "segments",
    [
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04\xff"),
        segment(0xE2, b"MPF\0" + bytes(3)),
        segment(0xE2, b"ICC_PROFILE\0"),
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='6'/>"),
        segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        segment(0xE1, b"Exif\0\0"),
        segment(0xEE, b"Adobe"),
        segment(0xFE, bytes(65_000)) * 100,
        b"\xff" * 5 + segment(0xFE, b"behind fill bytes"),
    ],
    ids=["photoshop", "mpf", "icc", "xmp", "exif", "short-exif", "short-adobe", "comments", "fill"],
)
def test_segments_of_a_jpeg_that_are_no_colors_and_no_orientation_are_ignored(segments: bytes) -> None:
    plain = encode(gradient(), "JPEG")
    expected = np.asarray(decode(plain))
    np.testing.assert_array_equal(np.asarray(decode(plain[:2] + segments + plain[2:])), expected)


def test_the_first_exif_segment_of_a_jpeg_turns_it() -> None:
    upright = Image.Exif()
    upright[ExifTags.Base.Orientation] = 1
    plain, segments = encode(gradient(), "JPEG"), [segment(0xE1, exif.tobytes()) for exif in (EXIF, upright)]
    assert decode(plain[:2] + b"".join(segments) + plain[2:]).size == (48, 64)


def test_a_profile_of_a_jpeg_counts_wherever_it_is_and_once() -> None:
    profile = segment(0xE2, b"ICC_PROFILE\0\1\1" + swapped_profile())
    plain = encode(gradient(), "JPEG")
    expected = np.asarray(decode(plain[:2] + profile + plain[2:]))
    assert np.abs(expected.astype(int) - np.asarray(decode(plain))).max() > 100
    scan = plain.index(b"\xff\xda")
    for data in (plain[:scan] + profile + plain[scan:], plain[:2] + profile * 2 + plain[2:]):
        np.testing.assert_array_equal(np.asarray(decode(data)), expected)


def test_a_phones_photo_with_a_second_image_inside_is_the_photo() -> None:
    photo = encode(gradient(), "MPO", save_all=True, append_images=[Image.new("RGB", (64, 48), "red")])
    assert decode(photo).size == (64, 48)
    assert np.asarray(decode(photo))[0, 0, 0] < 9  # black, not red


def test_a_gif_with_a_comment_in_blocks_of_one_byte_is_copied_without_it() -> None:
    """Pillow joins them in quadratic time: 31 seconds for 2 MB."""
    plain = encode(gradient().quantize(8), "GIF")
    start = 13 + 3 * 8
    comment = b"\x21\xfe" + b"\x01c" * 1_000_000 + b"\0"
    assert without_metadata(plain[:start] + comment + plain[start:]) == without_metadata(plain)
    np.testing.assert_array_equal(
        np.asarray(decode(plain[:start] + comment + plain[start:])), np.asarray(decode(plain))
    )


def test_a_gif_keeps_its_transparency() -> None:
    image = Image.new("P", (40, 40), 1)
    image.putpalette([0, 0, 0, 0, 0, 200])
    assert decode(encode(image, "GIF", transparency=1)).getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("tag", "kind", "value"), [(700, "I", 7), (34675, "s", "no profile"), (33432, "s", "x" * 100_000), (34377, "B", 1)]
)
def test_odd_tags_of_a_tiff_are_ignored(tag: int, kind: str, value: object) -> None:
    target = io.BytesIO()
    count = len(value) if isinstance(value, str) else 1
    tifffile.imwrite(target, PIXELS, photometric="rgb", extratags=[(tag, kind, count, value, True)])
    assert_same_picture(target.getvalue())


def test_a_tiff_whose_orientation_is_no_short_is_not_turned() -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info.tagtype[274] = 4
    info[274] = 6
    assert_same_picture(encode(gradient(), "TIFF", tiffinfo=info))


@pytest.mark.parametrize("levels", [np.arange(2304, dtype=np.uint16), np.arange(2304, dtype=np.uint16) % 256 * 257])
def test_a_tiff_of_16_bits_in_which_0_is_white_is_no_negative(levels: np.ndarray) -> None:
    gray, target = levels.reshape(48, 48), io.BytesIO()
    tifffile.imwrite(target, gray, photometric="miniswhite")
    expected = (0xFFFF - gray.astype(int) + 128) // 257
    np.testing.assert_array_equal(np.asarray(decode(target.getvalue()))[..., 0], expected)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "GIF"])
def test_the_copy_has_no_text_and_the_same_picture(kind: str) -> None:
    data = with_metadata(kind)
    copy = without_metadata(data)
    assert b"SECRET comment" not in copy
    np.testing.assert_array_equal(np.asarray(decode(copy)), np.asarray(decode(data)))
    assert without_metadata(copy) == copy


@given(st.sampled_from(["JPEG", "PNG", "TIFF", "GIF"]), st.data())
def test_any_damage_is_copied_without_an_error(kind: str, data: st.DataObject) -> None:
    broken = bytearray(with_metadata(kind))
    for place, value in data.draw(
        st.lists(st.tuples(st.integers(0, len(broken) - 1), st.integers(0, 255)), max_size=6)
    ):
        broken[place] = value
    without_metadata(bytes(broken[: data.draw(st.integers(8, len(broken)))]))
