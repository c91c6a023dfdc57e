"""Bad input, by mistake or malice: a 4xx with a stable code, nothing stored, and the service stays ready."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PHOTO, STYLE, Submit, image_file

from shared.recipe import VGG19_LAYERS

Kept = Callable[[], object]


def _claims_to_be(width: int, height: int) -> bytes:
    """Return a PNG whose header claims more pixels than its bytes can hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


def _animated() -> bytes:
    target = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "green")]
    frames[0].save(target, "GIF", save_all=True, append_images=frames[1:])
    return target.getvalue()


MASK = image_file((255, 255, 255))
JPEG = image_file(kind="JPEG", size=(256, 256))
NOISY_JPEG = io.BytesIO()
Image.effect_noise((256, 256), 90).save(NOISY_JPEG, "JPEG")
DEEP = '{"preset":' + "[" * 20_000 + "]" * 20_000 + "}"

BAD = {
    "no file at all": ({"content": None, "style": None}, 422, "missing_image"),
    "no content": ({"content": None}, 422, "missing_image"),
    "no style": ({"style": None}, 422, "missing_image"),
    "content as text": ({"content": "photo.jpg"}, 422, "missing_image"),
    "two contents": ({"content": [PHOTO, PHOTO]}, 422, "too_many_images"),
    "nine styles": ({"style": [STYLE] * 9}, 422, "too_many_images"),
    "an empty file": ({"content": b""}, 422, "not_an_image"),
    "a text file": ({"content": b"once upon a time"}, 422, "not_an_image"),
    "a style that is no image": ({"style": b"once upon a time"}, 422, "not_an_image"),
    "an svg": ({"content": b"<svg xmlns='http://www.w3.org/2000/svg'/>"}, 422, "not_an_image"),
    "a truncated jpeg": ({"content": NOISY_JPEG.getvalue()[:9000]}, 422, "broken_image"),
    "a truncated png": ({"content": PHOTO[: len(PHOTO) // 2]}, 422, "broken_image"),
    "a second image broken": ({"style": [STYLE, STYLE[:60]]}, 422, "broken_image"),
    "50,000 x 50,000 by the header": ({"content": _claims_to_be(50_000, 50_000)}, 422, "image_too_large"),
    "an animated gif": ({"content": _animated()}, 422, "animated_image"),
    "1 x 1": ({"content": image_file(size=(1, 1))}, 422, "image_too_small"),
    "a ribbon": ({"content": image_file(size=(640, 64))}, 422, "image_too_small"),
    "a thread as style": ({"style": image_file(size=(32, 4200))}, 422, "image_too_small"),
    "an unknown recipe field": ({"recipe": '{"sizes": 300}'}, 422, "invalid_recipe"),
    "an unknown preset": ({"recipe": '{"preset": "best"}'}, 422, "invalid_recipe"),
    "a preset that is no text": ({"recipe": '{"preset": ["fast"]}'}, 422, "invalid_recipe"),
    "a size out of range": ({"recipe": '{"size": 5000}'}, 422, "invalid_recipe"),
    "a size that is text": ({"recipe": '{"size": "large"}'}, 422, "invalid_recipe"),
    "a negative weight": ({"recipe": '{"style_weight": -1}'}, 422, "invalid_recipe"),
    "NaN": ({"recipe": '{"style_weight": NaN}'}, 422, "invalid_recipe"),
    "infinity": ({"recipe": '{"style_weight": Infinity}'}, 422, "invalid_recipe"),
    "minus infinity": ({"recipe": '{"style_weight": -Infinity}'}, 422, "invalid_recipe"),
    "infinity by overflow": ({"recipe": '{"style_weight": 1e999}'}, 422, "invalid_recipe"),
    "a number of 400 digits": ({"recipe": f'{{"style_weight": 1{"0" * 400}}}'}, 422, "invalid_recipe"),
    "a number of 5,000 digits": ({"recipe": f'{{"seed": 1{"0" * 5000}}}'}, 400, "malformed_request"),
    "a layer VGG19 lacks": ({"recipe": '{"style_layers": {"block6_conv1": 1}}'}, 422, "invalid_recipe"),
    "no layer at all": ({"recipe": '{"style_layers": {}, "content_layers": {}}'}, 422, "invalid_recipe"),
    "more stages than steps": (
        {"recipe": '{"steps": 1, "stages": [{"scale": 1, "share": 1}, {"scale": 1, "share": 1}]}'},
        422,
        "invalid_recipe",
    ),
    "an option that has no effect": (
        {"recipe": '{"preset": "patches", "style_loss": "wasserstein"}'},
        422,
        "invalid_recipe",
    ),
    "no steps from the content": ({"recipe": '{"steps": 0, "init": "content"}'}, 422, "invalid_recipe"),
    "a start image that is not sent": ({"recipe": '{"init": "image"}'}, 422, "invalid_recipe"),
    "a start image that is not used": ({"recipe": '{"init": "noise"}', "init_image": PHOTO}, 422, "invalid_recipe"),
    "two start images": ({"init_image": [PHOTO, PHOTO]}, 422, "too_many_images"),
    "a start image as text": ({"init_image": "start.png"}, 422, "missing_image"),
    "a mask as text": ({"content_mask": "mask.png"}, 422, "missing_image"),
    "two masks for one style": ({"content_mask": [MASK, MASK]}, 422, "invalid_mask"),
    "a black mask": ({"content_mask": image_file((0, 0, 0))}, 422, "invalid_mask"),
    "a mask of another shape": ({"content_mask": image_file(size=(64, 64))}, 422, "invalid_shape"),
    "a start image of another shape": ({"init_image": image_file(size=(64, 64))}, 422, "invalid_shape"),
    "a mask that is no image": ({"content_mask": b"once upon a time"}, 422, "not_an_image"),
    "one flat color for two styles": ({"content_mask": MASK, "style": [STYLE, STYLE]}, 422, "invalid_mask"),
    "a mix in regions": (
        {"content_mask": [MASK, MASK], "style": [STYLE, STYLE], "recipe": '{"style_mix": [1, 2]}'},
        422,
        "invalid_recipe",
    ),
    "a mix for two styles": ({"recipe": '{"style_mix": [1, 1]}'}, 422, "invalid_recipe"),
    "a scale for two styles": ({"recipe": '{"style_scales": [1, 2]}'}, 422, "invalid_recipe"),
    "a field twice": ({"recipe": '{"size": 300, "size": 400}'}, 422, "invalid_recipe"),
    "a recipe that is a list": ({"recipe": "[]"}, 422, "invalid_recipe"),
    "a recipe that is null": ({"recipe": "null"}, 422, "invalid_recipe"),
    "broken json": ({"recipe": '{"size": 300'}, 400, "malformed_request"),
    "json with a comment": ({"recipe": '{"size": 300} // larger'}, 400, "malformed_request"),
    "deep nesting": ({"recipe": DEEP}, 400, "malformed_request"),
    "a recipe file in latin-1": ({"recipe": '{"preset": "schön"}'.encode("latin-1")}, 400, "malformed_request"),
    "a lone surrogate": ({"recipe": '{"preset": "\\ud800"}'}, 400, "malformed_request"),
    "a lone surrogate as a layer": ({"recipe": '{"style_layers": {"\\ud800": 1}}'}, 400, "malformed_request"),
    "two recipes": ({"recipe": ["{}", "{}"]}, 400, "malformed_request"),
    "an unknown part": ({"styles": STYLE}, 400, "malformed_request"),
    "an unknown tier": ({"tier": "express"}, 422, "unknown_tier"),
    "an empty idempotency key": ({"headers": {"Idempotency-Key": ""}}, 400, "malformed_request"),
    "a long idempotency key": ({"headers": {"Idempotency-Key": "k" * 256}}, 400, "malformed_request"),
    "an unknown parameter": ({"query": "?dry-run=true"}, 400, "malformed_request"),
    "a parameter that is not a boolean": ({"query": "?dry_run=perhaps"}, 400, "malformed_request"),
    "a parameter twice": ({"query": "?dry_run=1&dry_run=0"}, 400, "malformed_request"),
    "a body over the limit": ({"content": JPEG + b"\0" * 400_000}, 413, "body_too_large"),
    "a recipe over the limit": ({"recipe": " " * 300_000}, 413, "body_too_large"),
    "a recipe file over the limit": ({"recipe": b"x" * 300_000}, 413, "body_too_large"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_submissions_get_a_code_and_store_nothing(
    case: str, submit: Submit, client: FlaskClient, stored_data: Kept
) -> None:
    sent, status, code = BAD[case]
    before = stored_data()
    _expect(submit(**sent), status, code)
    assert stored_data() == before
    assert client.get("/readyz").status_code == 200


def test_a_rejected_image_is_identified(submit: Submit) -> None:
    photo = submit(content=b"words").get_json()
    assert (photo["field"], photo.get("number")) == ("content", None)
    style = submit(style=[STYLE, image_file(size=(1, 1))]).get_json()
    assert (style["field"], style["number"]) == ("style", 1)


@pytest.mark.parametrize("part", ["content", "style"])
def test_a_missing_image_and_too_many_images_name_the_part(part: str, submit: Submit) -> None:
    assert submit(**{part: None}).get_json()["field"] == part
    assert submit(**{part: [STYLE] * 9}).get_json()["field"] == part


BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 415, "unsupported_media_type"),
    "xml": ({"data": b"<job/>", "content_type": "application/xml"}, 415, "unsupported_media_type"),
    "an encoded form": ({"data": {"content": "photo.jpg"}}, 415, "unsupported_media_type"),
    "no boundary": ({"data": b"--x--", "content_type": "multipart/form-data"}, 400, "malformed_request"),
    "a boundary that is no ascii": (
        {"data": b"--x--", "content_type": "multipart/form-data; boundary=\u00e4"},
        400,
        "malformed_request",
    ),
    "another boundary": (
        {"data": b"--x--", "content_type": "multipart/form-data; boundary=y"},
        400,
        "malformed_request",
    ),
    "a body cut short": (
        {
            "data": b'--y\r\nContent-Disposition: form-data; name="content"; filename="a.png"\r\n\r\nhalf',
            "content_type": "multipart/form-data; boundary=y",
        },
        400,
        "malformed_request",
    ),
    "unknown parts, one without a name": (
        {
            "data": b"--y\r\nContent-Disposition: form-data\r\n\r\nx\r\n"
            b'--y\r\nContent-Disposition: form-data; name="z"\r\n\r\nx\r\n--y--',
            "content_type": "multipart/form-data; boundary=y",
        },
        400,
        "malformed_request",
    ),
    "a hundred parts": (
        {"data": {"recipe": ["{}"] * 100}, "content_type": "multipart/form-data"},
        413,
        "body_too_large",
    ),
}


@pytest.mark.parametrize("case", BODIES)
def test_bodies_that_are_not_forms_get_a_code_and_store_nothing(
    case: str, client: FlaskClient, stored_data: Kept
) -> None:
    sent, status, code = BODIES[case]
    before = stored_data()
    _expect(client.post("/v1/jobs", **sent), status, code)
    assert stored_data() == before
    assert client.get("/readyz").status_code == 200


UNKNOWN = "01a203c1-9362-71d5-a42f-35939c71eb95"
ILL_FORMED = ("1", "x" * 36, f"{{{UNKNOWN}}}", UNKNOWN.replace("-", ""), f"{UNKNOWN}%0A", "%00")
ACTS = [("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("POST", "/finish")]
ACTS += [("GET", part) for part in ("/events", "/preview", "/result", "/provenance")]
ACTS += [("GET", part) for part in ("/content", "/styles/0", "/previews", "/previews/1", "/timelapse")]


@pytest.mark.parametrize(("method", "part"), ACTS)
def test_unknown_and_malformed_ids_have_different_codes(
    method: str, part: str, client: FlaskClient, stored_data: Kept
) -> None:
    before = stored_data()
    _expect(client.open(f"/v1/jobs/{UNKNOWN}{part}", method=method), 404, "job_not_found")
    for wrong in ILL_FORMED:
        _expect(client.open(f"/v1/jobs/{wrong}{part}", method=method), 404, "invalid_job_id")
    assert stored_data() == before


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/v1/jobs?limit=0", 400, "malformed_request"),
        ("/v1/queue/standard/jobs?offset=-1", 400, "malformed_request"),
        ("/v1/queue/standard/jobs?limit=201", 400, "malformed_request"),
        ("/v1/queue/nothing/jobs", 404, "not_found"),
        (f"/v1/jobs/{UNKNOWN}/content?longest=31", 400, "malformed_request"),
        (f"/v1/jobs/{UNKNOWN}/timelapse?download=perhaps", 400, "malformed_request"),
        ("/v1/jobs?limit=201", 400, "malformed_request"),
        ("/v1/jobs?limit=ten", 400, "malformed_request"),
        ("/v1/jobs?state=done", 400, "malformed_request"),
        ("/v1/jobs?cursor=abc", 400, "invalid_cursor"),
        ("/v1/jobs?cursor=%00%ff", 400, "invalid_cursor"),
        (f"/v1/jobs/{UNKNOWN}?wait=61", 400, "malformed_request"),
        (f"/v1/jobs/{UNKNOWN}?wait=nan", 400, "malformed_request"),
        (f"/v1/jobs/{UNKNOWN}/events?last_event_id=0-x", 400, "malformed_request"),
        (f"/v1/jobs/{UNKNOWN}/events?last_event_id=99999999999999999999-0", 400, "malformed_request"),
        ("/v1/nothing", 404, "not_found"),
        ("/v1//jobs", 404, "not_found"),
    ],
)
def test_wrong_urls_get_a_code(address: str, status: int, code: str, client: FlaskClient) -> None:
    _expect(client.get(address), status, code)


def test_a_wrong_method_gets_an_allow_header(client: FlaskClient) -> None:
    response = client.put("/v1/jobs")
    _expect(response, 405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) >= {"GET", "POST"}


def test_a_full_queue_refuses_jobs_and_stores_nothing(submit: Submit, client: FlaskClient, stored_data: Kept) -> None:
    for _ in range(5):
        assert submit().status_code == 202
    before = stored_data()
    response = submit()
    _expect(response, 429, "queue_full")
    assert int(response.headers["Retry-After"]) > 0
    assert stored_data() == before
    assert submit(query="?dry_run=true").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_an_invalid_recipe_names_each_wrong_field(submit: Submit) -> None:
    problem = submit(recipe='{"size": 1, "optimizer": {"kind": "adam", "beta1": 2}}').get_json()
    assert [error["field"] for error in problem["errors"]] == ["size", "optimizer.adam.beta1"]


def test_an_unknown_layer_is_answered_with_all_known_layers(submit: Submit) -> None:
    detail = submit(recipe='{"content_layers": {"conv4_2": 1}}').get_json()["detail"]
    assert "conv4_2" in detail
    assert all(layer in detail for layer in VGG19_LAYERS)


def _expect(response: Any, status: int, code: str) -> None:
    assert response.mimetype == "application/problem+json", response.text
    problem = json.loads(response.text)
    assert (response.status_code, problem["code"]) == (status, code), problem
    assert problem["status"] == status
    assert problem["detail"].endswith((".", "?"))
    assert {"type", "title", "retryable", "instance"} <= set(problem)
