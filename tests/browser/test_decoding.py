"""Images look to Easel as they look in Chromium."""

import struct
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import ExifTags, Image
from playwright.sync_api import Browser, Page
from support.image_files import encode, gradient, png_chunk, sixteen_bit_png, with_chunks
from support.requirements import ROOT, part_missing

from shared.imaging import deep_color, images

CASES = ROOT.parent / "shared" / "cases"
AS_IN_CHROMIUM = (
    *("avif.avif", "cicp_p3.png", "cmyk_adobe.jpg", "gama1.0.png", "gray_rgblin.jpg", "icc_badcrc.png", "icc_p3.jpg"),
    *("meta_02_APP13.jpg", "meta_04_iCCP.png", "meta_44_gAMA.png", "meta_72_tRNS.png", "orient6.png"),
    *("rgb16_trns_lowbyte.png", "text_badcrc.png", "xmp_orient6.jpg", "ztxt_1.5MB.png"),
)
PIXELS_OF = """async ([base64, colorSpace]) => {
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([Uint8Array.from(atob(base64), c => c.charCodeAt(0))]));
  await image.decode();
  const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
  const context = canvas.getContext("2d", { colorSpace });
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [canvas.height, canvas.width, btoa(text)];
}"""
P3 = (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
GRAY = np.tile(np.linspace(0, 0xFFFF, 64).astype(np.uint16), (48, 1))


def gamma(value: float) -> bytes:
    return png_chunk(b"gAMA", round(value * 100_000).to_bytes(4))


def primaries(*values: float) -> bytes:
    return png_chunk(b"cHRM", b"".join(round(value * 100_000).to_bytes(4) for value in values))


def cicp(*values: int) -> bytes:
    return png_chunk(b"cICP", bytes(values))


SRGB = png_chunk(b"sRGB", b"\0")
PNGS = {
    "a gamma": (gamma(0.7),),
    "a gamma near that of sRGB": (gamma(0.45455),),
    "a gamma not near that of sRGB": (gamma(0.5),),
    "a very dark gamma": (gamma(0.05),),
    "primaries and a gamma": (gamma(0.45455), primaries(*P3)),
    "primaries alone, which say nothing": (primaries(*P3),),
    "sRGB before gamma": (gamma(0.7), SRGB, primaries(*P3)),
    "cICP of Display P3": (cicp(12, 13, 0, 1),),
    "cICP of BT.2020 before sRGB": (cicp(9, 14, 0, 1), SRGB),
    "linear light in cICP": (cicp(1, 8, 0, 1),),
    "a gamma of zero": (gamma(0),),
}


def in_chromium(page: Page, data: bytes, color_space: str = "srgb") -> np.ndarray:
    height, width, text = page.evaluate(PIXELS_OF, [b64encode(data).decode(), color_space])
    return np.frombuffer(b64decode(text), np.uint8).reshape(height, width, 4)[..., :3].astype(int)


def in_easel(data: bytes) -> np.ndarray:
    """Return the levels in sRGB: of thumbnails if the image has colors that sRGB does not have, else as stored."""
    pixels, color_space = deep_color.decode(data, max_pixels=1_000_000)
    if color_space != "srgb":
        return np.asarray(images.decode(data, max_pixels=1_000_000)).astype(int)
    return (pixels.astype(int) + 128) // 257 if pixels.dtype == np.uint16 else pixels.astype(int)


@pytest.fixture(scope="module")
def blank(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize("name", AS_IN_CHROMIUM)
def test_a_file_that_was_misread_is_read_as_in_chromium(name: str, blank: Page) -> None:
    path = CASES / name
    if not path.exists():
        part_missing(f"{path} is missing")
    np.testing.assert_allclose(in_easel(path.read_bytes()), in_chromium(blank, path.read_bytes()), atol=2)


@pytest.mark.parametrize("chunks", PNGS)
@pytest.mark.parametrize("kind", ["color", "gray", "palette", "16-bit gray"])
def test_the_colors_of_a_png_are_those_of_chromium(kind: str, chunks: str, blank: Page) -> None:
    files: dict[str, Callable[[], bytes]] = {
        "color": lambda: encode(gradient()),
        "gray": lambda: encode(gradient().convert("L")),
        "palette": lambda: encode(gradient().quantize(16)),
        "16-bit gray": lambda: sixteen_bit_png(GRAY, 0),
    }
    data = with_chunks(files[kind](), *PNGS[chunks])
    np.testing.assert_allclose(in_easel(data), in_chromium(blank, data), atol=2)


@pytest.mark.parametrize("code_points", [(12, 13), (9, 1), (6, 6), (1, 4), (1, 8), (1, 13)])
def test_the_colors_of_an_avif_are_those_of_chromium(code_points: tuple[int, int], blank: Page) -> None:
    data = bytearray(encode(gradient(), "AVIF", quality=95))
    struct.pack_into(">HH", data, data.index(b"colrnclx") + 8, *code_points)
    np.testing.assert_allclose(in_easel(bytes(data)), in_chromium(blank, bytes(data)), atol=2)


@pytest.mark.parametrize("place", ["PNG behind its pixels", "WEBP", "AVIF", "JPEG"])
def test_an_image_is_turned_if_chromium_turns_it(place: str, blank: Page) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    if place.startswith("PNG"):
        plain = encode(gradient())
        chunk = png_chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        data = plain[:-12] + chunk + plain[-12:]
    else:
        data = encode(gradient(), place, exif=exif, quality=95)
    np.testing.assert_allclose(in_easel(data), in_chromium(blank, data), atol=2)


@pytest.mark.parametrize("chunks", ["primaries and a gamma", "cICP of Display P3", "cICP of BT.2020 before sRGB"])
def test_colors_that_srgb_lacks_are_those_of_chromium_in_display_p3(chunks: str, blank: Page) -> None:
    vivid = np.array([[(250, 20, 30), (0, 220, 40)], [(20, 40, 255), (200, 255, 0)]], np.uint8)
    data = with_chunks(encode(Image.fromarray(vivid.repeat(20, axis=0).repeat(20, axis=1))), *PNGS[chunks])
    image = deep_color.decode(data, max_pixels=1_000_000)
    assert image.color_space == "display-p3"
    np.testing.assert_allclose(image.pixels, in_chromium(blank, data, "display-p3"), atol=2)
