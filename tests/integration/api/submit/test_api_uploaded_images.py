"""Images that are uploaded once, and the quotes and jobs that refer to them."""

import io
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PHOTO, STYLE, Submit, image_file, submit_job, upload
from support.fixtures.tenants import MakeClient
from support.image_files import encode, sixteen_bit_png, solid

from api.app import create_app
from shared.inputs.uploaded import ImageRecord
from shared.services import Services
from shared.settings import Settings
from shared.storage import keys

UNKNOWN = f"sha256:{64 * '0'}"


def upload_id(client: FlaskClient, image: bytes = PHOTO) -> str:
    response = upload(client, image)
    assert response.status_code == 201, response.text
    return str(response.get_json()["id"])


def opened(value: Any) -> Any:
    """Return the value for a form, in which a file is (content, name)."""
    if isinstance(value, list):
        return [opened(one) for one in value]
    return (io.BytesIO(value[0]), value[1]) if isinstance(value, tuple) else value


def request_of(services: Services, job: Any) -> dict[str, Any]:
    request = services.ledger.get(job.get_json()["id"]).request
    return request.model_dump(exclude={"id", "created_at", "request_id"})


def test_an_upload_returns_the_id_of_the_stored_image(client: FlaskClient, services: Services) -> None:
    response = upload(client)
    image = response.get_json()
    assert response.status_code == 201
    assert (image["width"], image["height"], image["bit_depth"]) == (96, 64, 8)
    assert services.blobs.exists(keys.input_image(image["id"].removeprefix("sha256:")))
    assert timedelta(hours=23) < datetime.fromisoformat(image["expires_at"]) - datetime.now(UTC) < timedelta(days=1)
    assert upload_id(client) == image["id"], "the same image has the same ID"
    assert upload_id(client, STYLE) != image["id"]


def test_a_job_by_ids_is_the_job_by_files(client: FlaskClient, submit: Submit, services: Services) -> None:
    mask = encode(solid("L", 255, (96, 64)))
    for files in (
        {"content": PHOTO, "style": STYLE},
        {"content": image_file(size=(4200, 2800)), "style": [STYLE, PHOTO]},
        {"style_mask": mask},
        {"content_mask": mask},
        {"init_image": STYLE},
        {"content": sixteen_bit_png(np.random.default_rng(1).integers(0, 65536, (64, 96, 3), np.uint16), 2)},
        {"content": encode(solid("RGBA", (200, 0, 0, 51), (96, 64)))},
    ):
        ids = {
            role: [upload_id(client, one) for one in (images if isinstance(images, list) else [images])]
            for role, images in files.items()
        }
        assert request_of(services, submit(**ids)) == request_of(services, submit(**files))
        services.ledger._redis.delete("easel:jobs:queued", "easel:tenant:default:jobs:queued")  # the limit is five


def test_quotes_by_id_decode_nothing(client: FlaskClient, settings: Settings, services: Services) -> None:
    by_files = submit_job(client, query="?dry_run=true", init_image=STYLE)
    photo, style = upload_id(client), upload_id(client, STYLE)
    app = create_app(settings, services)
    quote = submit_job(app.test_client(), query="?dry_run=true", content=photo, style=style, init_image=style)
    assert quote.status_code == 200
    assert quote.get_json() == by_files.get_json()
    assert app.extensions["easel"].decoder._pool is None


def test_an_image_is_checked_for_each_role(client: FlaskClient, submit: Submit) -> None:
    clear, tall = encode(solid("RGBA", (9, 9, 9, 0), (96, 64))), image_file(size=(64, 96))
    thin = image_file(size=(2000, 40))
    refused = [
        submit(style=upload_id(client, clear)),
        submit(init_image=upload_id(client, tall)),
        submit(content_mask=upload_id(client, tall)),
        submit(content=upload_id(client, thin)),
    ]
    assert [(one.get_json()["code"], one.get_json()["field"], one.get_json().get("number")) for one in refused] == [
        ("invalid_mask", "style", 0),
        ("invalid_shape", "init_image", None),
        ("invalid_shape", "content_mask", 0),
        ("image_too_small", "content", None),
    ]


@pytest.mark.parametrize("role", ["content", "style", "style_mask", "content_mask", "init_image"])
def test_an_unknown_id_names_its_field(role: str, submit: Submit) -> None:
    response = submit(**{role: UNKNOWN})
    assert (response.status_code, response.get_json()["code"]) == (404, "image_not_found")
    assert response.get_json()["field"] == role
    assert UNKNOWN in response.get_json()["detail"]


def test_an_expired_image_is_unknown_until_it_is_uploaded_again(
    client: FlaskClient, submit: Submit, settings: Settings, services: Services
) -> None:
    short = create_app(settings.model_copy(update={"image_seconds": 1e-6}), services).test_client()
    image_id = upload_id(short)
    assert submit(content=image_id).get_json()["code"] == "image_not_found"
    assert upload_id(client) == image_id
    assert submit(content=image_id).status_code == 202


def test_a_deleted_image_is_unknown_and_jobs_keep_it(client: FlaskClient, submit: Submit) -> None:
    image_id = upload_id(client)
    content = submit(content=image_id).get_json()["urls"]["content"]
    pixels = client.get(content).data
    assert client.delete(f"/v1/images/{image_id}").status_code == 204
    for refused in (submit(content=image_id), client.delete(f"/v1/images/{image_id}")):
        assert (refused.status_code, refused.get_json()["code"]) == (404, "image_not_found")
    assert client.get(content).data == pixels
    assert upload_id(client) == image_id


def test_an_image_is_deleted_for_the_tenant_that_deletes_it(make_client: MakeClient) -> None:
    owner, other, stranger = (make_client(tenant)[0] for tenant in ("acme", "other", "stranger"))
    image_id = upload_id(owner)
    assert upload_id(other) == image_id
    assert [one.delete(f"/v1/images/{image_id}").status_code for one in (stranger, owner, owner)] == [404, 204, 404]
    assert submit_job(owner, content=image_id).status_code == 404
    assert submit_job(other, content=image_id).status_code == 202


@pytest.mark.parametrize("name", ["x", UNKNOWN[7:], UNKNOWN.upper(), "sha256:..", "sha256:../../keys"])
def test_what_is_no_id_cannot_be_deleted(name: str, client: FlaskClient, stored_data: Any) -> None:
    before = stored_data()
    assert client.delete(f"/v1/images/{name}").status_code == 404
    assert stored_data() == before


def test_each_use_makes_an_image_expire_later(client: FlaskClient, submit: Submit, services: Services) -> None:
    image_id = upload_id(client)
    key = keys.image("default", image_id.removeprefix("sha256:"))
    record = ImageRecord.model_validate_json(services.blobs.get(key))
    soon = record.model_copy(update={"expires_at": time.time() + 60})
    services.blobs.put(key, soon.model_dump_json().encode())
    assert submit(query="?dry_run=true", content=image_id).status_code == 200
    assert ImageRecord.model_validate_json(services.blobs.get(key)).expires_at >= record.expires_at


def test_parts_of_one_name_are_files_or_ids(client: FlaskClient, submit: Submit) -> None:
    mixed = submit(style=[STYLE, upload_id(client)]).get_json()
    assert (mixed["code"], "order" in mixed["detail"]) == ("malformed_request", True)
    assert submit(style=[upload_id(client), "photo.jpg"]).get_json()["code"] == "missing_image"


def test_a_quote_by_id_stores_nothing(client: FlaskClient, submit: Submit, stored_data: Any) -> None:
    photo, style = upload_id(client), upload_id(client, STYLE)
    before = stored_data()
    assert submit(query="?dry_run=true", content=photo, style=style).status_code == 200
    assert stored_data() == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ({}, "unsupported_media_type"),
        ({"image": "photo.jpg"}, "unsupported_media_type"),
        ({"image": [(STYLE, "a.png"), (STYLE, "b.png")]}, "too_many_images"),
        ({"image": (b"text", "a.png")}, "not_an_image"),
        ({"image": (PHOTO[:60], "a.png")}, "broken_image"),
        ({"picture": (PHOTO, "a.png")}, "malformed_request"),
    ],
    ids=["nothing", "text", "two", "not an image", "broken", "another name"],
)
def test_an_upload_is_one_image(data: dict[str, Any], code: str, client: FlaskClient, stored_data: Any) -> None:
    before = stored_data()
    response = client.post("/v1/images", data={name: opened(value) for name, value in data.items()})
    assert response.get_json()["code"] == code
    assert stored_data() == before
