"""A job's pictures over the API; the worker's part is played by hand on the ledger."""

import io
import json

import pytest
from flask import g
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PAINTING_COLOUR, PHOTO_COLOUR, Submit, claim, paint, picture, succeed
from werkzeug.test import TestResponse

from api.app import create_app
from api.http.limits import Watchers
from api.imaging.thumbnails import Thumbnails
from api.imaging.timelapse import chosen
from easel.models import JobState
from shared.errors import ClaimLost
from shared.recovery.job_files import reconcile
from shared.services import Services
from shared.settings import Settings
from shared.storage import keys


def opened(answer: TestResponse) -> Image.Image:
    assert answer.status_code == 200, answer.text
    return Image.open(io.BytesIO(answer.data))


# Inputs.


def test_what_went_in_can_be_fetched_as_it_is_kept(submit: Submit, client: FlaskClient) -> None:
    job = submit(style=[picture(PAINTING_COLOUR), picture((1, 2, 3))]).get_json()
    assert (job["style_count"], len(job["urls"]["styles"])) == (2, 2)
    photo, *styles = (opened(client.get(url)) for url in (job["urls"]["content"], *job["urls"]["styles"]))
    assert (photo.format, photo.size, photo.getpixel((0, 0))) == ("PNG", (96, 64), PHOTO_COLOUR)
    assert [style.getpixel((0, 0)) for style in styles] == [PAINTING_COLOUR, (1, 2, 3)]


def test_inputs_can_be_had_small(job_id: str, client: FlaskClient) -> None:
    path = f"/v1/jobs/{job_id}/content"
    small = client.get(f"{path}?longest=48")
    assert (opened(small).format, opened(small).size) == ("JPEG", (48, 32))
    assert opened(client.get(f"{path}?longest=2048")).size == (96, 64), "never larger than it is"
    assert "immutable" in small.headers["Cache-Control"]
    same = client.get(f"{path}?longest=48", headers={"If-None-Match": small.headers["ETag"]})
    assert (same.status_code, same.data) == (304, b"")
    assert client.get(f"{path}?longest=49", headers={"If-None-Match": small.headers["ETag"]}).status_code == 200
    for wrong in ("31", "2049", "x", ""):
        assert client.get(f"{path}?longest={wrong}").status_code == 400


def test_small_inputs_are_long_requests_but_for_those_that_were_made_before(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    path = f"/v1/jobs/{job_id}/content"
    small = client.get(f"{path}?longest=48")
    context = client.application.extensions["easel"]
    context.watchers = Watchers(threads=2, each=1)
    with client.application.test_request_context():
        g.caller = "somebody"
        leave = context.watchers.sit_down()
    assert client.get(f"{path}?longest=49").get_json()["code"] == "too_many_watchers"
    services.blobs.delete(keys.input_image(services.ledger.get(job_id).request.content))
    assert client.get(f"{path}?longest=48").data == small.data
    leave()


def test_thumbnails_are_kept_within_bounds_and_what_was_asked_for_last_stays() -> None:
    kept = Thumbnails(most_bytes=6)
    assert kept.keep("a", b"aa") == kept.keep("a", b"aa") == b"aa"
    kept.keep("b", b"bb")
    kept.keep("c", b"cc")
    assert kept.find("a") == b"aa"
    kept.keep("d", b"dd")
    assert [kept.find(name) for name in "abcd"] == [b"aa", None, b"cc", b"dd"]
    assert kept.keep("e", b"too much") == b"too much"
    assert [kept.find(name) for name in "acde"] == [None] * 4


def test_a_style_that_the_job_does_not_have_is_not_found(job_id: str, client: FlaskClient) -> None:
    for number in ("1", "99999999999999999999", "-1", "x"):
        answer = client.get(f"/v1/jobs/{job_id}/styles/{number}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "not_found")


# The filmstrip.


def test_previews_form_a_filmstrip_in_the_order_of_steps(job_id: str, client: FlaskClient, services: Services) -> None:
    strip = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["previews"]
    assert client.get(strip).get_json() == {"previews": []}
    held = claim(services)
    for step in (2, 5, 11):
        paint(services, held, step)
    previews = client.get(strip).get_json()["previews"]
    assert [one["step"] for one in previews] == [2, 5, 11]
    assert sorted(one["at"] for one in previews) == [one["at"] for one in previews]
    for one in previews:
        answer = client.get(one["url"])
        red, _, _ = opened(answer).convert("RGB").getpixel((5, 5))  # type: ignore[misc]  # RGB has three
        assert abs(red - one["step"]) < 4
        assert "no-cache" in answer.headers["Cache-Control"], "the step may be done again after a fault"
    assert client.get(f"{strip}/3").get_json()["code"] == "not_found"
    succeed(services, held)
    assert "immutable" in client.get(previews[0]["url"]).headers["Cache-Control"]


def test_a_step_that_is_done_again_after_a_fault_appears_once(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    held = claim(services)
    paint(services, held, 1)
    paint(services, held, 2)
    services.ledger.release(held, place="head")
    again = claim(services)
    paint(services, again, 2, b"anew")
    with pytest.raises(ClaimLost):
        paint(services, held, 3)
    assert [one["step"] for one in client.get(f"/v1/jobs/{job_id}/previews").get_json()["previews"]] == [1, 2]
    assert client.get(f"/v1/jobs/{job_id}/previews/2").data == b"anew"
    assert services.ledger.get(job_id).previews == 2


def test_events_tell_where_each_preview_is_and_not_where_its_blob_lies(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    held = claim(services)
    paint(services, held, 7)
    services.ledger.finish(held, JobState.FAILED)
    told = client.get(f"/v1/jobs/{job_id}/events").text
    (data,) = (part.partition("data: ")[2] for part in told.split("\n\n") if "event: preview" in part)
    assert json.loads(data) == {"step": 7, "url": f"/v1/jobs/{job_id}/previews/7"}
    assert held.token not in told


def test_a_filmstrip_goes_with_its_job_and_begins_anew_when_redis_is_lost(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    paint(services, claim(services), 1)
    services.ledger._redis.flushall()
    assert reconcile(services) == 1
    assert client.get(f"/v1/jobs/{job_id}/previews").get_json() == {"previews": []}
    held = claim(services)
    paint(services, held, 1)
    succeed(services, held)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert services.filmstrip.of(job_id) == []


# The time-lapse.


def test_two_previews_make_a_time_lapse(job_id: str, client: FlaskClient, services: Services) -> None:
    path, held = f"/v1/jobs/{job_id}/timelapse", claim(services)
    paint(services, held, 1, picture((250, 0, 0), (24, 16), "JPEG"))
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["timelapse"] is None
    assert client.get(path).get_json()["code"] == "not_ready"
    paint(services, held, 2, picture((0, 0, 250), (48, 32), "JPEG"))
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["timelapse"] == path
    answer = client.get(path)
    film = opened(answer)
    assert (answer.mimetype, film.format, film.size) == ("image/webp", "WEBP", (48, 32))
    assert (film.n_frames, film.info["loop"]) == (2, 0)  # type: ignore[attr-defined]  # an animation has them
    film.seek(0)
    assert film.convert("RGB").getpixel((20, 20))[0] > 200  # type: ignore[index]  # RGB has three
    film.seek(1)
    assert film.convert("RGB").getpixel((20, 20))[2] > 200  # type: ignore[index]  # the same
    assert film.info["duration"] >= 1000, "the picture is looked at longer"


def test_a_time_lapse_changes_only_with_its_previews(job_id: str, client: FlaskClient, services: Services) -> None:
    path, held = f"/v1/jobs/{job_id}/timelapse", claim(services)
    paint(services, held, 1)
    paint(services, held, 2)
    tag = {"If-None-Match": client.get(path).headers["ETag"]}
    assert client.get(path, headers=tag).status_code == 304
    paint(services, held, 3)
    assert client.get(path, headers=tag).status_code == 200
    succeed(services, held)
    saved = client.get(f"{path}?download=true")
    assert saved.headers["Content-Disposition"] == f'attachment; filename="easel-{job_id}.webp"'
    assert "immutable" in saved.headers["Cache-Control"]


def test_a_step_that_is_painted_again_in_the_middle_makes_another_film(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    path, held = f"/v1/jobs/{job_id}/timelapse", claim(services)
    for step in (1, 2, 3):
        paint(services, held, step)
    tag = {"If-None-Match": client.get(path).headers["ETag"]}
    services.ledger.release(held, place="head")
    paint(services, claim(services), 2, picture((9, 9, 9), (48, 32), "JPEG"))
    assert client.get(path, headers=tag).status_code == 200, "as many stills, and the same last one"


def test_a_film_is_made_once_for_all_who_look(
    job_id: str, client: FlaskClient, services: Services, settings: Settings
) -> None:
    path, held = f"/v1/jobs/{job_id}/timelapse", claim(services)
    for step in (1, 2):
        paint(services, held, step)
    succeed(services, held)
    film = client.get(path).data
    for still in services.filmstrip.of(job_id):
        services.blobs.delete(still.key)  # without its stills nobody could make it again
    assert client.get(path).data == film
    assert client.get(path, headers={"If-None-Match": client.get(path).headers["ETag"]}).status_code == 304
    another = create_app(settings, services).test_client()
    assert another.get(path).status_code == 404


def test_who_waits_to_make_a_film_holds_no_stills_and_needs_none_where_another_made_it(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    class MadeMeanwhile(Thumbnails):
        def find(self, name: str) -> bytes | None:
            found = super().find(name)
            self.keep(name, b"film")
            return found

    held = claim(services)
    for step in (1, 2):
        paint(services, held, step)
    for still in services.filmstrip.of(job_id):
        services.blobs.delete(still.key)
    client.application.extensions["easel"].thumbnails = MadeMeanwhile()
    assert client.get(f"/v1/jobs/{job_id}/timelapse").data == b"film"


def test_of_many_previews_sixty_are_shown_with_the_first_and_the_last() -> None:
    assert chosen(range(60)) == list(range(60))
    picked = chosen(range(1000))
    assert (len(picked), picked[0], picked[-1]) == (60, 0, 999)
    assert picked == sorted(set(picked))
