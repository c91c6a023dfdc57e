"""The result as a file: formats, transparency, color profile, bit depth, metadata."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import pyvips
import tifffile
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import claim, succeed
from support.image_files import decode_png
from werkzeug.test import TestResponse

from api.imaging import result_files
from shared.imaging import deep_color
from shared.imaging.color_profiles import DISPLAY_P3_PROFILE, SRGB_PROFILE
from shared.services import Services
from shared.storage import keys

Publish = Callable[..., str]

PROVENANCE = {
    "job": "01a220c5-f919-72ad-a403-13a965b97a3a",
    "content_sha256": "c0ffee",
    "style_sha256": ["5717e", "5717f"],
    "init_image_sha256": None,
    "content_mask_sha256": [],
    "recipe": {"preset": "fast", "size": 256, "style_weight": 1.5},
    "weights": {"source": "path", "sha256": "3e19"},
    "claims": 2,
    "environment": {"easel": "9.8.7", "processor": "SECRET processor", "gpus": ["SECRET card"]},
}
ORIGIN = {
    "easel": "9.8.7",
    "content_sha256": "c0ffee",
    "style_sha256": ["5717e", "5717f"],
    "recipe": {"preset": "fast", "size": 256, "style_weight": 1.5},
    "weights_sha256": "3e19",
}
FORMATS = ("png", "jpeg", "webp", "tiff")
GRADIENT = np.asarray(Image.linear_gradient("L").convert("RGB"), np.float32) / 255


def xmp_fields(image: Image.Image) -> dict[str, str]:
    """Return the fields of a file's XMP packet by their names with namespaces."""
    packet = image.info["xmp"]
    text = packet.decode() if isinstance(packet, bytes) else packet
    assert text.startswith("<?xpacket begin=")
    description = ET.fromstring(text[text.index("<x:") : text.index("<?xpacket end")])[0][0]  # noqa: S314 - ours
    return {field.tag: field.text or "" for field in description}


def opened(response: TestResponse) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.data))


@pytest.fixture
def publish(job_id: str, services: Services) -> Publish:
    """Return a function that publishes a result as the worker does, and returns its URL."""

    def write(image: np.ndarray, **options: Any) -> str:
        claimed = claim(services)
        succeed(services, claimed)
        key = services.ledger.get(job_id).result
        assert key is not None
        services.blobs.put(key, deep_color.encode_png(image, **options), content_type="image/png")
        services.blobs.put(keys.provenance(key), json.dumps(PROVENANCE).encode(), content_type="application/json")
        return f"/v1/jobs/{job_id}/result"

    return write


@pytest.fixture
def result_url(publish: Publish) -> str:
    """Return the URL of a result with a gradient."""
    return publish(GRADIENT)


@pytest.fixture
def transparent_url(publish: Publish) -> str:
    """Return the URL of a result in dark blue whose alpha is a gradient, transparent at the top."""
    blue = np.broadcast_to(np.array([0, 0, 0.4], np.float32), (256, 256, 3))
    return publish(np.dstack([blue, GRADIENT[..., 0]]))


@pytest.mark.parametrize("name", ["jpeg", "webp", "tiff"])
def test_a_result_is_served_in_other_formats(result_url: str, client: FlaskClient, name: str) -> None:
    response = client.get(f"{result_url}?format={name}")
    image = opened(response)
    assert (image.format, image.size, response.mimetype) == (name.upper(), (256, 256), f"image/{name}")
    assert image.getpixel((9, 200)) == pytest.approx((200,) * 3, abs=3)
    assert f".{name}" in response.headers["Content-Disposition"]
    cached = client.get(f"{result_url}?format={name}", headers={"If-None-Match": response.headers["ETag"]})
    assert cached.status_code == 304


def test_quality_changes_a_jpegs_size_and_png_stays_as_it_is_stored(result_url: str, client: FlaskClient) -> None:
    sizes = [len(client.get(f"{result_url}?format=jpeg&quality={quality}").data) for quality in (10, 50, 95)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert client.get(result_url).data == client.get(f"{result_url}?format=png").data


@pytest.mark.parametrize("query", ["format=bmp", "quality=0", "quality=101", "format=jpeg&quality=x"])
def test_another_format_or_quality_is_refused(result_url: str, client: FlaskClient, query: str) -> None:
    assert client.get(f"{result_url}?{query}").get_json()["code"] == "malformed_request"


def convert_without_end(*_: Any, **__: Any) -> None:
    threading.Event().wait()


def test_a_conversion_that_exceeds_the_limits_is_ended(
    result_url: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.application.extensions["easel"].decoder, "_seconds", 0.3)
    monkeypatch.setattr(result_files, "convert", convert_without_end)
    response = client.get(f"{result_url}?format=webp")
    assert (response.status_code, response.get_json()["code"]) == (422, "image_too_slow")
    assert "Fetch it as a PNG" in response.get_json()["detail"]
    assert client.get(result_url).status_code == 200


def test_a_converted_result_is_cached(result_url: str, client: FlaskClient, services: Services) -> None:
    first = client.get(f"{result_url}?format=webp")
    services.blobs.put(services.ledger.get(result_url.split("/")[3]).result or "", b"not an image")
    assert client.get(f"{result_url}?format=webp").data == first.data
    response = client.get(f"{result_url}?format=tiff")
    assert (response.status_code, response.get_json()["code"]) == (422, "broken_image")


# Negotiation.


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "png"),
        ("*/*", "png"),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5", "png"),
        ("text/html,application/xml;q=0.9,image/webp,*/*;q=0.8", "png"),
        ("image/webp", "webp"),
        ("image/webp;q=0.5, image/jpeg", "jpeg"),
        ("image/tiff, application/json", "tiff"),
        ("image/png;q=0, image/*", "jpeg"),
    ],
)
def test_accept_chooses_the_format_if_it_does_not_allow_a_png(
    result_url: str, client: FlaskClient, accept: str | None, name: str
) -> None:
    response = client.get(result_url, headers={"Accept": accept} if accept else {})
    assert (response.mimetype, opened(response).format) == (f"image/{name}", name.upper())
    assert response.headers["Vary"] == "Accept"
    assert f'.{name}"' in response.headers["Content-Disposition"]


def test_the_parameter_counts_more_than_accept(result_url: str, client: FlaskClient) -> None:
    response = client.get(f"{result_url}?format=jpeg", headers={"Accept": "image/webp"})
    assert response.mimetype == "image/jpeg"
    assert "Vary" not in response.headers


@pytest.mark.parametrize("accept", ["application/json", "image/avif", "image/*;q=0"])
def test_an_accept_header_without_any_of_the_formats_is_refused(
    result_url: str, client: FlaskClient, accept: str
) -> None:
    response = client.get(result_url, headers={"Accept": accept})
    assert (response.status_code, response.get_json()["code"]) == (406, "not_acceptable")
    assert "image/tiff" in response.get_json()["detail"]


# Transparency.


@pytest.mark.parametrize("name", ["png", "webp", "tiff"])
def test_a_transparent_result_is_transparent_in_formats_that_can_be(
    transparent_url: str, client: FlaskClient, name: str
) -> None:
    image = opened(client.get(f"{transparent_url}?format={name}"))
    assert image.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(image)[..., 3], np.asarray(Image.linear_gradient("L")))
    assert image.getpixel((9, 200)) == pytest.approx((0, 0, 102, 200), abs=3)


def test_a_transparent_result_is_shown_on_white_as_a_jpeg(transparent_url: str, client: FlaskClient) -> None:
    image = opened(client.get(f"{transparent_url}?format=jpeg&quality=95"))
    assert image.mode == "RGB"
    assert image.getpixel((9, 0)) == pytest.approx((255, 255, 255), abs=3)
    assert image.getpixel((9, 128)) == pytest.approx((127, 127, 178), abs=3)
    assert image.getpixel((9, 255)) == pytest.approx((0, 0, 102), abs=3)


# The color profile.


@pytest.mark.parametrize("metadata", ["true", "false"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_result_file_has_the_profile_of_srgb(
    result_url: str, client: FlaskClient, name: str, metadata: str
) -> None:
    image = opened(client.get(f"{result_url}?format={name}&metadata={metadata}"))
    assert image.info["icc_profile"] == SRGB_PROFILE


@pytest.mark.parametrize("bit_depth", [8, 16])
@pytest.mark.parametrize("name", FORMATS)
def test_every_file_of_a_wide_result_has_the_profile_of_display_p3(
    publish: Publish, client: FlaskClient, name: str, bit_depth: int
) -> None:
    red = np.broadcast_to(np.array([0.98, 0.04, 0.08], np.float32), (48, 64, 3))
    url = publish(red, bit_depth=bit_depth, color_space="display-p3")
    data = client.get(f"{url}?format={name}&quality=98").data
    image = pyvips.Image.new_from_buffer(data, "")
    assert image.get("icc-profile-data") == DISPLAY_P3_PROFILE
    levels = np.array(image(9, 9)) / (65535 if image.format == "ushort" else 255)
    np.testing.assert_allclose(levels, red[0, 0], atol=0.03)


# 16 bits per channel.


@pytest.mark.parametrize("channels", [3, 4])
def test_a_result_of_16_bits_keeps_them_as_png_and_tiff(publish: Publish, client: FlaskClient, channels: int) -> None:
    image = np.random.default_rng(4).random((48, 64, channels), np.float32)
    url = publish(image, bit_depth=16)
    expected = np.rint(image * 65535).astype(np.uint16)
    tiff = tifffile.imread(io.BytesIO(client.get(f"{url}?format=tiff").data))
    assert tiff.dtype == np.uint16
    np.testing.assert_array_equal(tiff, expected)
    png = client.get(url).data
    assert png[24] == 16, "bits per channel (PNG, 11.2.1)"
    np.testing.assert_array_equal(decode_png(png), expected)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_a_result_of_16_bits_has_8_in_formats_without(publish: Publish, client: FlaskClient, name: str) -> None:
    url = publish(GRADIENT, bit_depth=16)
    image = opened(client.get(f"{url}?format={name}&quality=95"))
    assert image.mode == "RGB"
    assert image.getpixel((9, 200)) == pytest.approx((200,) * 3, abs=3)


def test_a_transparent_result_of_16_bits_is_shown_on_white_as_a_jpeg(publish: Publish, client: FlaskClient) -> None:
    blue = np.broadcast_to(np.array([0, 0, 0.4], np.float32), (256, 256, 3))
    url = publish(np.dstack([blue, GRADIENT[..., 0]]), bit_depth=16)
    image = opened(client.get(f"{url}?format=jpeg&quality=95"))
    assert image.getpixel((9, 0)) == pytest.approx((255, 255, 255), abs=3)
    assert image.getpixel((9, 128)) == pytest.approx((127, 127, 178), abs=3)


# Metadata.


@pytest.mark.parametrize("name", FORMATS)
def test_a_result_says_in_xmp_how_it_was_made(result_url: str, client: FlaskClient, name: str) -> None:
    response = client.get(f"{result_url}?format={name}")
    fields = xmp_fields(opened(response))
    assert fields.pop("{http://ns.adobe.com/xap/1.0/}CreatorTool") == "Easel 9.8.7"
    assert fields.pop("{http://purl.org/dc/elements/1.1/}source") == "sha256:c0ffee"
    assert json.loads(fields.pop("{urn:easel:1.0/}origin")) == ORIGIN
    assert not fields
    assert not any(word in response.data for word in (b"SECRET", b"01a220c5", b"Exif", b"photo.png"))


def test_a_png_says_in_text_chunks_how_it_was_made(result_url: str, client: FlaskClient) -> None:
    image = opened(client.get(result_url))
    image.load()  # and checks every chunk
    texts = image.text  # type: ignore[attr-defined]  # a PNG has it
    assert texts["Software"] == "Easel 9.8.7"
    assert json.loads(texts["easel"]) == ORIGIN
    np.testing.assert_array_equal(np.asarray(image), np.rint(GRADIENT * 255).astype(np.uint8))


@pytest.mark.parametrize("name", FORMATS)
def test_metadata_can_be_left_out(result_url: str, client: FlaskClient, services: Services, name: str) -> None:
    response = client.get(f"{result_url}?format={name}&metadata=false")
    assert "xmp" not in opened(response).info
    assert not any(word in response.data for word in (b"c0ffee", b"easel", b"Easel"))
    if name == "png":
        job_id = result_url.split("/")[3]
        assert response.data == services.blobs.get(services.ledger.get(job_id).result or "")


@pytest.mark.parametrize("name", FORMATS)
def test_the_two_files_have_different_tags(result_url: str, client: FlaskClient, name: str) -> None:
    tags = [client.get(f"{result_url}?format={name}&metadata={on}").headers["ETag"] for on in ("true", "false")]
    assert tags[0] != tags[1]
    assert not any(tag.startswith("W/") for tag in tags)


def test_metadata_is_text_whatever_it_contains(result_url: str, client: FlaskClient, services: Services) -> None:
    recipe = {"preset": "]]> <&\"' é"}
    key = services.ledger.get(result_url.split("/")[3]).result or ""
    services.blobs.put(keys.provenance(key), json.dumps({"recipe": recipe}).encode())
    image = opened(client.get(result_url))
    assert json.loads(xmp_fields(image)["{urn:easel:1.0/}origin"]) == {"recipe": recipe}
    assert xmp_fields(image)["{http://ns.adobe.com/xap/1.0/}CreatorTool"] == "Easel"
