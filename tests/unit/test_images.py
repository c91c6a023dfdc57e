"""Strangers' images in, clean pixels out. Every image and every colour profile here is made on the spot."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import ExifTags, Image

from shared import images
from shared.errors import AnimatedImage, BadInput, BrokenImage, ImageTooLarge, ImageTooSmall, NotAnImage
from shared.recipe import Recipe

Colour = tuple[int, int, int]


def picture(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A smooth RGB picture whose four corners all differ."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    return Image.fromarray((np.dstack([x, y, (1 - x) * y]) * 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def decode(data: bytes, max_pixels: int = 1_000_000) -> Image.Image:
    return images.decode(data, max_pixels=max_pixels)


def plain(mode: str, colour: object, size: tuple[int, int] = (40, 40)) -> Image.Image:
    return Image.new(mode, size, colour)


def colour(image: Image.Image, at: tuple[int, int] = (20, 20)) -> Colour:
    found = image.getpixel(at)
    assert isinstance(found, tuple)
    return found


def close(found: Colour, wanted: Colour, by: int = 3) -> bool:
    return all(abs(a - b) <= by for a, b in zip(found, wanted, strict=True))


# Colour profiles (ICC.1:2001-04), from scratch.


def profile(space: bytes, pcs: bytes, **tags: bytes) -> bytes:
    header = struct.pack(">I4xI4s4s4s12x4s28x3i48x", 0, 0x02400000, b"prtr", space, pcs, b"acsp", *D50)
    text = b"text" + bytes(4) + b"made by a test\0"
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags |= {"desc": name, "cprt": text, "wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", *D50)}
    place, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag.encode(), place + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    whole = header + table + body
    return struct.pack(">I", len(whole)) + whole[4:]


D50 = (63190, 65536, 54061)  # in 1/65536
RED, GREEN, BLUE = (0.4360, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141)


def gamma(exponent: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(exponent * 256))


def xyz(colorant: tuple[float, ...]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in colorant))


def swapped_profile() -> bytes:
    """Of a screen whose first channel shines green, and whose second shines red."""
    curves = {f"{channel}TRC": gamma(2.2) for channel in "rgb"}
    return profile(b"RGB ", b"XYZ ", rXYZ=xyz(GREEN), gXYZ=xyz(RED), bXYZ=xyz(BLUE), **curves)


def linear_gray_profile() -> bytes:
    return profile(b"GRAY", b"XYZ ", kTRC=gamma(1))


def green_ink_profile() -> bytes:
    """Of a press that prints white without ink, black with the fourth ink, and green with any other."""
    matrix = struct.pack(">9i", *(65536 if place % 4 == 0 else 0 for place in range(9)))
    ramp = bytes(range(256))
    paper, black, green = bytes([255, 128, 128]), bytes([0, 128, 128]), bytes([128, 60, 190])  # L, a, b
    table = (
        b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + ramp * 4 + paper + black + (green + black) * 7 + ramp * 3
    )
    return profile(b"CMYK", b"Lab ", A2B0=table)


# What is accepted, and how it comes out.


@pytest.mark.parametrize("kind", images.FORMATS)
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


def with_secrets(kind: str) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "SECRET camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (48.0, 31.0, 12.0), 29: "SECRET place"})
    return saved(picture(), kind, exif=exif, icc_profile=swapped_profile(), comment="SECRET comment")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_place_camera_or_comment_is_left_in_any_output(kind: str) -> None:
    data = with_secrets(kind)
    assert b"SECRET" in data
    image = decode(data)
    assert not image.info
    assert not image.getexif()
    for output in (images.canonical(image), images.encode_png(image), images.encode_jpeg(image)):
        assert b"SECRET" not in output
        assert b"Exif" not in output
        assert b"ICC" not in output
        assert b"iCCP" not in output


def test_even_an_image_with_metadata_is_written_without() -> None:
    with Image.open(io.BytesIO(with_secrets("JPEG"))) as image:
        for output in (images.canonical(image), images.encode_png(image), images.encode_jpeg(image)):
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


def palette(*, transparent: bool) -> bytes:
    image = plain("P", 1)
    image.putpalette([9, 9, 9, 0, 0, 200])
    return saved(image, **({"transparency": bytes([255, 0])} if transparent else {}))


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


# What is refused, and with which error.


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"<svg/>", b"%PDF-1.7", b"\0\0\0\x18ftypheic" + bytes(40), saved(picture(), "BMP")]
)
def test_what_is_no_accepted_image_is_refused(data: bytes) -> None:
    with pytest.raises(NotAnImage, match="JPEG, PNG, WebP, GIF or TIFF"):
        decode(data)


def test_heic_is_told_what_to_do() -> None:
    with pytest.raises(NotAnImage, match="exported as JPEG"):
        decode(b"\0\0\0\x18ftypheic" + bytes(40))


def test_thirty_two_bits_a_channel_are_refused() -> None:
    for image in (plain("F", 0.5), plain("I", 7)):
        with pytest.raises(NotAnImage, match="32 bits"):
            decode(saved(image, "TIFF"))


@pytest.mark.parametrize("kind", images.FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_truncated_file_is_broken(kind: str, share: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = saved(noise, kind)
    with pytest.raises(BrokenImage):
        decode(data[: max(8, int(len(data) * share))])


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_more_than_one_frame_or_page_is_refused(kind: str) -> None:
    with pytest.raises(AnimatedImage):
        decode(saved(picture(), kind, save_all=True, append_images=[plain("RGB", "red", (64, 48))]))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_a_single_frame_is_accepted(kind: str) -> None:
    assert decode(saved(picture(), kind, save_all=True)).size == (64, 48)


def claiming(kind: str, side: int) -> bytes:
    """A small file whose header claims side x side pixels."""
    data = bytearray(saved(picture(), kind, **({"lossless": True, "exif": b"Exif\0\0"} if kind == "WEBP" else {})))
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
def test_a_header_that_claims_too_many_pixels_is_refused_unread(kind: str) -> None:
    with pytest.raises(ImageTooLarge, match="50000 x 50000"):
        decode(claiming(kind, 50_000), max_pixels=64_000_000)


def test_the_limit_of_pixels_is_the_callers_and_pillow_adds_none() -> None:
    data = saved(plain("1", 0, (20_000, 10_000)))  # twice the limit at which Pillow would raise
    with pytest.raises(ImageTooLarge):
        decode(data, max_pixels=199_999_999)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (20_000, 10_000)


def test_exactly_the_limit_is_accepted() -> None:
    data = saved(picture())
    assert decode(data, max_pixels=64 * 48).size == (64, 48)
    with pytest.raises(ImageTooLarge, match="3,071"):
        decode(data, max_pixels=64 * 48 - 1)


@pytest.mark.parametrize("size", [(1, 1), (31, 400), (400, 31)])
def test_a_side_under_32_pixels_is_too_small(size: tuple[int, int]) -> None:
    with pytest.raises(ImageTooSmall, match="at least 32"):
        decode(saved(plain("RGB", "red", size)))


# Whatever comes.

SEEDS = {kind: saved(picture(), kind) for kind in images.FORMATS} | {
    "MPO": with_secrets("JPEG"),
    "P": palette(transparent=True),
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


@given(st.sampled_from(images.SIGNATURES), st.binary(max_size=300))
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


def test_many_threads_decode_at_once() -> None:
    data = [with_secrets(kind) for kind in ("JPEG", "PNG", "WEBP", "TIFF")] * 4
    alone = [decode(each).tobytes() for each in data]
    with ThreadPoolExecutor(8) as threads:
        assert [image.tobytes() for image in threads.map(decode, data)] == alone


# Sizes.


def test_fit_scales_the_longest_side_up_and_down() -> None:
    assert [images.fit((4000, 3000), 512), images.fit((3000, 4000), 512), images.fit((64, 48), 512)] == [
        (512, 384),
        (384, 512),
        (512, 384),
    ]


@given(st.integers(1, 60_000), st.integers(1, 60_000), st.integers(64, 4096))
def test_fit_keeps_the_shape_or_says_why_not(width: int, height: int, longest: int) -> None:
    try:
        fitted = images.fit((width, height), longest)
    except ImageTooSmall:
        assert longest * min(width, height) / max(width, height) < images.MIN_SIDE
        return
    assert max(fitted) == longest
    assert min(fitted) >= images.MIN_SIDE
    assert abs(min(fitted) - longest * min(width, height) / max(width, height)) <= 0.5


def test_an_extreme_shape_is_too_small_once_it_is_scaled() -> None:
    with pytest.raises(ImageTooSmall, match="512 x 4"):
        images.fit((8000, 64), 512)


def test_resizing_gives_the_longest_side_asked_for() -> None:
    assert images.resize(picture((300, 200)), 150).size == (150, 100)
    assert images.resize(picture((300, 200)), 600).size == (600, 400)


# What is written.


def test_the_canonical_bytes_are_the_same_for_the_same_pixels_however_they_came() -> None:
    ways = [
        saved(picture(), "PNG", compress_level=0),
        saved(picture(), "TIFF"),
        saved(picture(), "WEBP", lossless=True),
    ]
    assert len({images.canonical(decode(way)) for way in ways}) == 1


def test_the_canonical_bytes_decode_to_the_same_pixels_and_the_same_bytes() -> None:
    kept = images.canonical(picture())
    assert decode(kept).tobytes() == picture().tobytes()
    assert images.canonical(decode(kept)) == kept


def test_no_more_is_kept_of_an_input_than_the_largest_recipe_can_use() -> None:
    kept = decode(images.canonical(plain("RGB", "teal", (5000, 1000))), max_pixels=10**7)
    assert kept.size == (4096, 819)
    bounds = [getattr(bound, "le", None) for bound in Recipe.model_fields["size"].metadata]
    assert images.LONGEST in bounds


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
