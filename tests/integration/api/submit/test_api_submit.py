"""Submissions: what is stored, which images are accepted, and idempotency."""

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PHOTO, PHOTO_COLOR, STYLE, STYLE_COLOR, Submit, image_file
from support.image_files import decode_png, display_p3_profile, encode, sixteen_bit_png, solid

from shared.errors import LedgerUnavailable
from shared.imaging import deep_color
from shared.services import Services
from shared.storage import keys

# Submitting.


def test_a_submitted_job_is_queued(submit: Submit, client: FlaskClient, services: Services) -> None:
    response = submit()
    job = response.get_json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["tier"], job["queue_position"]) == ("queued", "standard", 1)
    assert job["recipe"]["preset"] == "fast"
    assert job["created_at"].endswith("Z")
    assert job["eta_seconds"] is None
    assert job["urls"]["result"] is None
    assert services.dispatcher.pending("standard") == 1
    assert client.get(response.headers["Location"]).get_json()["id"] == job["id"]


def test_the_stored_request_names_its_inputs(job_id: str, services: Services) -> None:
    request = json.loads(services.blobs.get(keys.request(job_id)))
    hashes = request["content"], *request["styles"]
    photo, style = (services.blobs.get(keys.input_image(sha256)) for sha256 in hashes)
    assert Image.open(io.BytesIO(photo)).getpixel((5, 5)) == PHOTO_COLOR
    assert Image.open(io.BytesIO(style)).getpixel((5, 5)) == STYLE_COLOR
    assert (request["width"], request["height"]) == (96, 64)


def test_the_same_image_is_stored_once(submit: Submit, services: Services) -> None:
    for _ in range(3):
        assert submit(style=PHOTO).status_code == 202
    assert len(list(services.blobs.list("inputs/"))) == 1


def test_photos_and_styles_keep_their_transparency_and_thumbnails_show_them_on_white(
    submit: Submit, services: Services, client: FlaskClient
) -> None:
    half = encode(solid("RGBA", (200, 0, 0, 51), (96, 64)))
    response = submit(content=half, style=half)
    request = services.ledger.get(response.get_json()["id"]).request
    photo = Image.open(io.BytesIO(client.get(response.get_json()["urls"]["content"]).data))
    assert (photo.mode, photo.getpixel((5, 5))) == ("RGBA", (200, 0, 0, 51))
    style = Image.open(io.BytesIO(services.blobs.get(keys.input_image(request.styles[0]))))
    assert (style.mode, style.getpixel((5, 5))) == ("RGBA", (200, 0, 0, 51))
    small = Image.open(io.BytesIO(client.get(response.get_json()["urls"]["content"] + "?longest=48").data))
    assert small.getpixel((5, 5)) == pytest.approx((244, 204, 204), abs=3)


def test_photos_of_16_bits_are_stored_with_them(submit: Submit, services: Services, client: FlaskClient) -> None:
    pixels = np.random.default_rng(1).integers(0, 65536, (64, 96, 3), np.uint16)
    photo = sixteen_bit_png(pixels, 2)
    response = submit(content=photo, style=photo, recipe=json.dumps({"preset": "fast", "bit_depth": 16}))
    assert response.get_json()["recipe"]["bit_depth"] == 16
    stored = list(services.blobs.list("inputs/"))
    assert len(stored) == 1
    np.testing.assert_array_equal(decode_png(services.blobs.get(stored[0].key)), pixels)
    small = Image.open(io.BytesIO(client.get(response.get_json()["urls"]["content"] + "?longest=48").data))
    assert (small.format, small.size) == ("JPEG", (48, 32))


def test_wide_colors_are_stored_whatever_the_role(submit: Submit, services: Services, client: FlaskClient) -> None:
    wide = encode(solid("RGB", (250, 10, 20), (96, 64)), icc_profile=display_p3_profile())
    status = submit(content=wide, style=wide, init_image=wide).get_json()
    assert status["recipe"]["color_space"] == "auto"
    files = [client.get(status["urls"][name]).data for name in ("content", "init_image")]
    files.append(services.blobs.get(keys.input_image(services.ledger.get(status["id"]).request.styles[0])))
    for file in files:
        image = deep_color.decode_stored(file)
        assert (image.color_space, tuple(image.pixels[5, 5])) == ("display-p3", (250, 10, 20))
    small = Image.open(io.BytesIO(client.get(status["urls"]["content"] + "?longest=48").data))
    assert small.getpixel((5, 5)) == pytest.approx((255, 0, 0), abs=4)


def test_a_bit_depth_is_8_or_16(submit: Submit) -> None:
    for wrong in (12, "16", None):
        problem = submit(recipe=json.dumps({"bit_depth": wrong})).get_json()
        assert (problem["code"], problem["errors"][0]["field"]) == ("invalid_recipe", "bit_depth")


def test_an_opaque_photo_is_stored_once_with_and_without_an_alpha_channel(submit: Submit, services: Services) -> None:
    for mode in ("RGB", "RGBA"):
        photo = encode(Image.new(mode, (96, 64), "teal"))
        assert submit(content=photo, style=photo).status_code == 202
    assert len(list(services.blobs.list("inputs/"))) == 1


def test_a_recipe_may_be_a_presets_name(submit: Submit) -> None:
    assert submit(recipe="gentle").get_json()["recipe"]["preset"] == "gentle"
    assert submit(recipe="null").get_json()["code"] == "invalid_recipe"
    assert "did you mean gentle?" in submit(recipe="gentel").get_json()["detail"]


def test_a_recipe_may_be_a_file_or_omitted(submit: Submit) -> None:
    assert submit(recipe=b'{"preset": "tutorial"}').get_json()["recipe"]["preset"] == "tutorial"
    assert submit(recipe=None).get_json()["recipe"]["preset"] == "default"
    assert submit(recipe="").get_json()["recipe"]["preset"] == "default"


def test_a_job_can_choose_its_tier(submit: Submit) -> None:
    assert submit(tier="batch").get_json()["tier"] == "batch"


def test_uploads_are_read_only_while_a_process_waits_for_them(
    submit: Submit, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder, held = client.application.extensions["easel"].decoder, list[int]()

    class Upload(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            held.append(decoder._running.total())
            return super().read(size)

    monkeypatch.setattr("werkzeug.wrappers.request.default_stream_factory", lambda *_, **__: Upload())
    assert submit(style=[STYLE, STYLE]).status_code == 202
    assert held == [1] * 3
    assert not decoder._running


def test_several_styles_are_accepted(submit: Submit) -> None:
    response = submit(style=[STYLE, PHOTO], recipe='{"style_mix": [1, 3]}')
    assert response.status_code == 202
    assert response.get_json()["recipe"]["style_mix"] == [1, 3]


def test_a_dry_run_returns_a_quote_and_stores_nothing(submit: Submit, stored_data: Callable[[], object]) -> None:
    before = stored_data()
    response = submit(query="?dry_run=true", headers={"Idempotency-Key": "dry"})
    quote = response.get_json()
    assert response.status_code == 200
    assert quote["seconds"] > 0
    assert quote["peak_memory_bytes"] > 2**20
    assert (quote["width"], quote["height"]) == (96, 64)
    assert quote["eta_seconds"] is None, "there is no worker"
    assert stored_data() == before


def test_a_failed_wake_up_does_not_fail_the_submission(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    monkeypatch.setattr(type(services.dispatcher), "wake", lambda *_: False)
    assert submit().status_code == 202
    assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1


# Unusual but valid images.


def _opened(services: Services, response: Any) -> Image.Image:
    request = json.loads(services.blobs.get(keys.request(response.get_json()["id"])))
    return Image.open(io.BytesIO(services.blobs.get(keys.input_image(request["content"]))))


def _sixteen_bits() -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((64, 96), 0x8080, np.uint16)).save(target, "PNG")
    return target.getvalue()


UNUSUAL = {
    "cmyk": (image_file((0, 255, 255, 0), kind="JPEG", mode="CMYK", quality=95), (237, 28, 36)),
    "16 bits": (_sixteen_bits(), (128, 128, 128)),
    "palette": (image_file("rebeccapurple", kind="GIF", mode="RGB"), (102, 51, 153)),
    "gray": (image_file(77, mode="L"), (77, 77, 77)),
    "webp": (image_file((10, 20, 30), kind="WEBP", lossless=True), (10, 20, 30)),
    "tiff": (image_file((10, 20, 30), kind="TIFF"), (10, 20, 30)),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_images_are_stored_as_srgb(kind: str, submit: Submit, services: Services) -> None:
    data, color = UNUSUAL[kind]
    response = submit(content=data)
    assert response.status_code == 202, response.text
    image = _opened(services, response)
    assert (image.mode, image.format) == ("RGB", "PNG")
    difference = np.abs(np.array(image.getpixel((5, 5))) - color).max()
    assert difference <= (40 if kind == "cmyk" else 0)  # without a profile, CMYK's red is a convention


def test_a_rotated_photo_is_stored_upright_and_without_location(submit: Submit, services: Services) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8825)[2] = (48.0, 31.0, 12.0)
    photo = io.BytesIO()
    Image.new("RGB", (96, 64), "red").save(photo, "JPEG", exif=exif)
    image = _opened(services, submit(content=photo.getvalue()))
    assert image.size == (64, 96)
    assert not image.getexif()
    assert set(image.info) <= {"srgb"}


# Idempotency.


def test_the_same_key_and_request_give_the_same_job(submit: Submit, client: FlaskClient) -> None:
    first = submit(headers={"Idempotency-Key": "once"})
    again = submit(headers={"Idempotency-Key": "once"}, recipe='{"size": 96.0, "preset": "fast"}')
    assert (first.status_code, again.status_code) == (202, 202)
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json()["id"] == first.get_json()["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1


def test_the_same_key_with_another_request_is_rejected(submit: Submit, stored_data: Callable[[], object]) -> None:
    submit(headers={"Idempotency-Key": "once"})
    before = stored_data()
    for other in ({"recipe": '{"preset": "default"}'}, {"style": PHOTO}, {"tier": "batch"}):
        response = submit(headers={"Idempotency-Key": "once"}, **other)
        assert (response.status_code, response.get_json()["code"]) == (422, "idempotency_key_reused")
    assert stored_data() == before


def test_a_replay_is_accepted_even_if_the_queue_is_full(submit: Submit) -> None:
    first = submit(headers={"Idempotency-Key": "once"})
    for _ in range(4):
        submit()
    assert submit().status_code == 429
    assert submit(headers={"Idempotency-Key": "once"}).get_json()["id"] == first.get_json()["id"]


def test_two_concurrent_submissions_with_one_key_make_one_job(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    first = submit(headers={"Idempotency-Key": "once"})
    monkeypatch.setattr(type(services.ledger), "find_by_idempotency_key", lambda *_: None)  # both requests find none
    again = submit(headers={"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json()["id"] == first.get_json()["id"]
    assert len([blob for blob in services.blobs.list("jobs/") if blob.key.endswith("request.json")]) == 1
    assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1


def test_a_stored_request_stays_if_the_ledgers_reply_is_lost(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise LedgerUnavailable("The queue does not respond.")

    monkeypatch.setattr(type(services.ledger), "submit", lost)
    assert submit().status_code == 503
    assert [blob.key for blob in services.blobs.list("jobs/")], "the record may exist, and must stay restorable"
