"""The images of a job; the test acts as the worker."""

import io
import json
from contextlib import ExitStack

import pytest
from flask import g
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PHOTO_COLOR, STYLE_COLOR, Submit, add_preview, claim, image_file, succeed
from werkzeug.test import TestResponse

from api.app import create_app
from api.http.callers import Caller
from api.http.limits import StreamLimits
from api.imaging.thumbnails import ThumbnailCache
from api.imaging.timelapse import choose_frames
from easel.models import JobState
from shared.errors import ClaimLost
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.settings import Settings
from shared.storage import keys


def opened(response: TestResponse) -> Image.Image:
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.data))


# Inputs.


def test_inputs_are_served_as_they_are_stored(submit: Submit, client: FlaskClient) -> None:
    job = submit(style=[image_file(STYLE_COLOR), image_file((1, 2, 3))]).get_json()
    assert (job["style_count"], len(job["urls"]["styles"])) == (2, 2)
    photo, *styles = (opened(client.get(url)) for url in (job["urls"]["content"], *job["urls"]["styles"]))
    assert (photo.format, photo.size, photo.getpixel((0, 0))) == ("PNG", (96, 64), PHOTO_COLOR)
    assert [style.getpixel((0, 0)) for style in styles] == [STYLE_COLOR, (1, 2, 3)]


def test_inputs_are_served_as_thumbnails(job_id: str, client: FlaskClient) -> None:
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


def test_new_thumbnails_count_as_streams_and_cached_ones_do_not(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    path = f"/v1/jobs/{job_id}/content"
    small = client.get(f"{path}?longest=48")
    context = client.application.extensions["easel"]
    context.stream_limits = StreamLimits(threads=2, per_client=1)
    with ExitStack() as held:
        with client.application.test_request_context():
            g.caller = Caller("somebody")
            held.enter_context(context.stream_limits.hold())
        assert client.get(f"{path}?longest=49").get_json()["code"] == "server_busy"
        services.blobs.delete(keys.input_image(services.ledger.get(job_id).request.content))
        assert client.get(f"{path}?longest=48").data == small.data


def test_the_thumbnail_cache_is_bounded_and_evicts_the_least_recently_used() -> None:
    cache = ThumbnailCache(max_bytes=6)
    for name in "abc":
        assert cache.put(name, b"12") == b"12"
    assert cache.get("a") == b"12"
    cache.put("d", b"12")
    assert [cache.get(name) for name in "abcd"] == [b"12", None, b"12", b"12"]
    assert cache.put("e", b"too large") == b"too large"
    assert [cache.get(name) for name in "acde"] == [b"12", b"12", b"12", None]


def test_a_missing_style_number_is_not_found(job_id: str, client: FlaskClient) -> None:
    for number in ("1", "99999999999999999999", "-1", "x"):
        response = client.get(f"/v1/jobs/{job_id}/styles/{number}")
        assert (response.status_code, response.get_json()["code"]) == (404, "not_found")


# Previews.


def test_previews_are_listed_by_step(job_id: str, client: FlaskClient, services: Services) -> None:
    strip = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["previews"]
    assert client.get(strip).get_json() == {"previews": []}
    claimed = claim(services)
    for step in (2, 5, 11):
        add_preview(services, claimed, step)
    previews = client.get(strip).get_json()["previews"]
    assert [one["step"] for one in previews] == [2, 5, 11]
    assert sorted(one["at"] for one in previews) == [one["at"] for one in previews]
    for one in previews:
        response = client.get(one["url"])
        red, _, _ = opened(response).convert("RGB").getpixel((5, 5))  # type: ignore[misc]  # RGB has three
        assert abs(red - one["step"]) < 4
        assert "no-cache" in response.headers["Cache-Control"], "the step may be done again after a fault"
    assert client.get(f"{strip}/3").get_json()["code"] == "not_found"
    succeed(services, claimed)
    assert "immutable" in client.get(previews[0]["url"]).headers["Cache-Control"]


def test_a_step_that_is_repeated_after_a_fault_is_listed_once(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    claimed = claim(services)
    add_preview(services, claimed, 1)
    add_preview(services, claimed, 2)
    services.ledger.release(claimed, place="head")
    again = claim(services)
    add_preview(services, again, 2, b"repeated")
    with pytest.raises(ClaimLost):
        add_preview(services, claimed, 3)
    assert [one["step"] for one in client.get(f"/v1/jobs/{job_id}/previews").get_json()["previews"]] == [1, 2]
    assert client.get(f"/v1/jobs/{job_id}/previews/2").data == b"repeated"
    assert services.ledger.get(job_id).previews == 2


def test_preview_events_have_the_url_and_not_the_blob_key(job_id: str, client: FlaskClient, services: Services) -> None:
    claimed = claim(services)
    add_preview(services, claimed, 7)
    services.ledger.end_job(claimed, JobState.FAILED)
    text = client.get(f"/v1/jobs/{job_id}/events").text
    (data,) = (part.partition("data: ")[2] for part in text.split("\n\n") if "event: preview" in part)
    assert json.loads(data) == {"step": 7, "url": f"/v1/jobs/{job_id}/previews/7"}
    assert claimed.token not in text


def test_a_filmstrip_is_deleted_with_its_job_and_restarts_empty_after_the_loss_of_redis(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    add_preview(services, claim(services), 1)
    services.ledger._redis.flushall()
    assert rebuild_ledger(services) == 1
    assert client.get(f"/v1/jobs/{job_id}/previews").get_json() == {"previews": []}
    claimed = claim(services)
    add_preview(services, claimed, 1)
    succeed(services, claimed)
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert services.filmstrip.previews(job_id) == []


# The time-lapse.


def test_a_time_lapse_needs_two_previews(job_id: str, client: FlaskClient, services: Services) -> None:
    path, claimed = f"/v1/jobs/{job_id}/timelapse", claim(services)
    add_preview(services, claimed, 1, image_file((250, 0, 0), (24, 16), "JPEG"))
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["timelapse"] is None
    assert client.get(path).get_json()["code"] == "not_ready"
    add_preview(services, claimed, 2, image_file((0, 0, 250), (48, 32), "JPEG"))
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["timelapse"] == path
    response = client.get(path)
    timelapse = opened(response)
    assert (response.mimetype, timelapse.format, timelapse.size) == ("image/webp", "WEBP", (48, 32))
    assert (timelapse.n_frames, timelapse.info["loop"]) == (2, 0)  # type: ignore[attr-defined]  # an animation has them
    timelapse.seek(0)
    assert timelapse.convert("RGB").getpixel((20, 20))[0] > 200  # type: ignore[index]  # RGB has three
    timelapse.seek(1)
    assert timelapse.convert("RGB").getpixel((20, 20))[2] > 200  # type: ignore[index]  # the same
    assert timelapse.info["duration"] >= 1000, "the picture is looked at longer"


def test_a_time_lapse_changes_only_with_its_previews(job_id: str, client: FlaskClient, services: Services) -> None:
    path, claimed = f"/v1/jobs/{job_id}/timelapse", claim(services)
    add_preview(services, claimed, 1)
    add_preview(services, claimed, 2)
    tag = {"If-None-Match": client.get(path).headers["ETag"]}
    assert client.get(path, headers=tag).status_code == 304
    add_preview(services, claimed, 3)
    assert client.get(path, headers=tag).status_code == 200
    succeed(services, claimed)
    saved = client.get(f"{path}?download=true")
    assert saved.headers["Content-Disposition"] == f'attachment; filename="easel-{job_id}.webp"'
    assert "immutable" in saved.headers["Cache-Control"]


def test_repeating_a_step_in_the_middle_changes_the_time_lapse(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    path, claimed = f"/v1/jobs/{job_id}/timelapse", claim(services)
    for step in (1, 2, 3):
        add_preview(services, claimed, step)
    tag = {"If-None-Match": client.get(path).headers["ETag"]}
    services.ledger.release(claimed, place="head")
    add_preview(services, claim(services), 2, image_file((9, 9, 9), (48, 32), "JPEG"))
    assert client.get(path, headers=tag).status_code == 200, "as many stills, and the same last one"


def test_a_time_lapse_is_rendered_once(
    job_id: str, client: FlaskClient, services: Services, settings: Settings
) -> None:
    path, claimed = f"/v1/jobs/{job_id}/timelapse", claim(services)
    for step in (1, 2):
        add_preview(services, claimed, step)
    succeed(services, claimed)
    timelapse = client.get(path).data
    for preview in services.filmstrip.previews(job_id):
        services.blobs.delete(preview.key)  # so that it cannot be rendered again
    assert client.get(path).data == timelapse
    assert client.get(path, headers={"If-None-Match": client.get(path).headers["ETag"]}).status_code == 304
    another = create_app(settings, services).test_client()
    assert another.get(path).status_code == 404


def test_a_request_that_waits_to_render_reads_the_cache_again_first(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    class FilledMeanwhile(ThumbnailCache):
        def get(self, name: str) -> bytes | None:
            cached = super().get(name)
            self.put(name, b"timelapse")
            return cached

    claimed = claim(services)
    for step in (1, 2):
        add_preview(services, claimed, step)
    for preview in services.filmstrip.previews(job_id):
        services.blobs.delete(preview.key)
    client.application.extensions["easel"].thumbnails = FilledMeanwhile()
    assert client.get(f"/v1/jobs/{job_id}/timelapse").data == b"timelapse"


def test_a_time_lapse_has_at_most_sixty_frames_with_the_first_and_the_last() -> None:
    assert choose_frames(range(60)) == list(range(60))
    picked = choose_frames(range(1000))
    assert (len(picked), picked[0], picked[-1]) == (60, 0, 999)
    assert picked == sorted(set(picked))
