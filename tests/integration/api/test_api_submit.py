"""Submitting: what is kept, what is taken as an image, and what sending twice does."""

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PAINTING, PAINTING_COLOUR, PHOTO, PHOTO_COLOUR, Submit, picture

from api.http import limits, multipart
from shared.errors import LedgerUnavailable
from shared.services import Services
from shared.storage import keys

# Submitting.


def test_a_submitted_job_waits_in_the_queue(submit: Submit, client: FlaskClient, services: Services) -> None:
    answer = submit()
    job = answer.get_json()
    assert answer.status_code == 202
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["state"], job["tier"], job["queue_position"]) == ("queued", "standard", 1)
    assert job["recipe"]["preset"] == "fast"
    assert job["created_at"].endswith("Z")
    assert job["eta_seconds"] is None
    assert job["urls"]["result"] is None
    assert services.dispatcher.pending("standard") == 1
    assert client.get(answer.headers["Location"]).get_json()["id"] == job["id"]


def test_the_request_is_kept_before_the_record_and_names_its_inputs(job_id: str, services: Services) -> None:
    kept = json.loads(services.blobs.get(keys.request(job_id)))
    photo, painting = (services.blobs.get(keys.input_image(sha)) for sha in (kept["content"], *kept["styles"]))
    assert Image.open(io.BytesIO(photo)).getpixel((5, 5)) == PHOTO_COLOUR
    assert Image.open(io.BytesIO(painting)).getpixel((5, 5)) == PAINTING_COLOUR
    assert (kept["width"], kept["height"]) == (96, 64)


def test_the_same_image_is_kept_once_for_all_jobs(submit: Submit, services: Services) -> None:
    for _ in range(3):
        assert submit(style=PHOTO).status_code == 202
    assert len(list(services.blobs.list("inputs/"))) == 1


def test_a_recipe_may_come_as_a_file_or_not_at_all(submit: Submit) -> None:
    assert submit(recipe=b'{"preset": "tutorial"}').get_json()["recipe"]["preset"] == "tutorial"
    assert submit(recipe=None).get_json()["recipe"]["preset"] == "default"
    assert submit(recipe="").get_json()["recipe"]["preset"] == "default"


def test_a_job_can_choose_its_tier(submit: Submit) -> None:
    assert submit(tier="batch").get_json()["tier"] == "batch"


def test_uploads_are_read_only_where_there_is_room_to_unpack_them(
    submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    room, had_room = threading.Lock(), list[bool]()

    class Upload(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            had_room.append(room.locked())
            return super().read(size)

    monkeypatch.setattr(limits, "_DECODERS", room)
    monkeypatch.setattr(multipart, "default_stream_factory", lambda *_, **__: Upload())
    assert submit(style=[PAINTING, PAINTING]).status_code == 202
    assert had_room == [True] * 3


def test_several_styles_are_mixed(submit: Submit) -> None:
    answer = submit(style=[PAINTING, PHOTO], recipe='{"style_mix": [1, 3]}')
    assert answer.status_code == 202
    assert answer.get_json()["recipe"]["style_mix"] == [1, 3]


def test_a_dry_run_says_what_a_job_would_cost_and_keeps_nothing(submit: Submit, kept: Callable[[], object]) -> None:
    before = kept()
    answer = submit(query="?dry_run=true", headers={"Idempotency-Key": "dry"})
    quote = answer.get_json()
    assert answer.status_code == 200
    assert quote["seconds"] > 0
    assert quote["peak_memory_bytes"] > 2**20
    assert (quote["width"], quote["height"]) == (96, 64)
    assert quote["eta_seconds"] is None, "nobody works, so nobody can know"
    assert kept() == before


def test_a_bell_that_cannot_be_rung_is_no_failure(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    monkeypatch.setattr(type(services.dispatcher), "ring", lambda *_: False)
    assert submit().status_code == 202
    assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1


# Images that are unusual, but right.


def _opened(services: Services, answer: Any) -> Image.Image:
    request = json.loads(services.blobs.get(keys.request(answer.get_json()["id"])))
    return Image.open(io.BytesIO(services.blobs.get(keys.input_image(request["content"]))))


def _sixteen_bits() -> bytes:
    target = io.BytesIO()
    Image.fromarray(np.full((64, 96), 0x8080, np.uint16)).save(target, "PNG")
    return target.getvalue()


UNUSUAL = {
    "cmyk": (picture((0, 255, 255, 0), kind="JPEG", mode="CMYK", quality=95), (237, 28, 36)),
    "16 bits": (_sixteen_bits(), (128, 128, 128)),
    "palette": (picture("rebeccapurple", kind="GIF", mode="RGB"), (102, 51, 153)),
    "alpha on white": (picture((255, 0, 0, 0), mode="RGBA"), (255, 255, 255)),
    "gray": (picture(77, mode="L"), (77, 77, 77)),
    "webp": (picture((10, 20, 30), kind="WEBP", lossless=True), (10, 20, 30)),
    "tiff": (picture((10, 20, 30), kind="TIFF"), (10, 20, 30)),
}


@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_images_are_taken_and_kept_as_plain_srgb(kind: str, submit: Submit, services: Services) -> None:
    data, colour = UNUSUAL[kind]
    answer = submit(content=data)
    assert answer.status_code == 202, answer.text
    image = _opened(services, answer)
    assert (image.mode, image.format) == ("RGB", "PNG")
    difference = np.abs(np.array(image.getpixel((5, 5))) - colour).max()
    assert difference <= (40 if kind == "cmyk" else 0)  # without a profile, how red CMYK's red is, is a convention


def test_a_rotated_photo_is_kept_upright_and_without_its_place(submit: Submit, services: Services) -> None:
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


def test_the_same_key_with_another_request_is_refused(submit: Submit, kept: Callable[[], object]) -> None:
    submit(headers={"Idempotency-Key": "once"})
    before = kept()
    for other in ({"recipe": '{"preset": "default"}'}, {"style": PHOTO}, {"tier": "batch"}):
        answer = submit(headers={"Idempotency-Key": "once"}, **other)
        assert (answer.status_code, answer.get_json()["code"]) == (422, "idempotency_key_reused")
    assert kept() == before


def test_a_replay_is_answered_even_when_the_queue_is_full(submit: Submit) -> None:
    first = submit(headers={"Idempotency-Key": "once"})
    for _ in range(4):
        submit()
    assert submit().status_code == 429
    assert submit(headers={"Idempotency-Key": "once"}).get_json()["id"] == first.get_json()["id"]


def test_two_at_once_under_one_key_make_one_job(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    first = submit(headers={"Idempotency-Key": "once"})
    monkeypatch.setattr(type(services.ledger), "remembered", lambda *_: None)  # as if both had asked at the same time
    again = submit(headers={"Idempotency-Key": "once"})
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json()["id"] == first.get_json()["id"]
    assert len([blob for blob in services.blobs.list("jobs/") if blob.key.endswith("request.json")]) == 1
    assert len(client.get("/v1/jobs").get_json()["jobs"]) == 1


def test_a_request_stays_where_the_ledgers_answer_was_lost(
    submit: Submit, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any, **__: Any) -> None:
        raise LedgerUnavailable("The queue does not answer.")

    monkeypatch.setattr(type(services.ledger), "submit", lost)
    assert submit().status_code == 503
    assert [blob.key for blob in services.blobs.list("jobs/")], "the record may exist, and must be able to be rebuilt"
