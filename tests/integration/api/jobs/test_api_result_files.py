"""The result as a file: formats, transparency."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import claim, succeed
from werkzeug.test import TestResponse

from shared import images
from shared.services import Services

Publish = Callable[..., str]

GRADIENT = np.asarray(Image.linear_gradient("L").convert("RGB"), np.float32) / 255


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
        services.blobs.put(key, images.encode_png(image, **options), content_type="image/png")
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
