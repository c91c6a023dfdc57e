"""What one batch may have decoded, stored and done, however small its body is."""

import threading
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import PHOTO, image_file, upload
from support.image_files import encode
from support.retention import age_blobs, run_garbage_collection, stored_blobs
from werkzeug.test import TestResponse

from api.app import create_app
from shared.services import Services
from shared.storage import Blob, BlobStore
from worker.maintenance.stored_bytes import measure_stored_bytes

RECIPE = {"preset": "fast", "size": 96}
LIMIT = 60_000
NO_IMAGE = "sha256:" + 64 * "0"


@pytest.fixture
def services(services: Services) -> Services:
    """Limit the bytes that a tenant stores to a few images of noise."""
    settings = services.settings.model_copy(update={"queue_limit": 1000, "tenant_stored_bytes": LIMIT})
    return replace(services, settings=settings)


@pytest.fixture
def client(services: Services) -> FlaskClient:
    return create_app(services.settings, services).test_client()


def post(client: FlaskClient, styles: list[Any], *jobs: dict[str, Any], key: str | None = None) -> TestResponse:
    defaults = {"content": file(PHOTO), "styles": styles, "recipe": RECIPE}
    headers = {"Idempotency-Key": key} if key else None
    return client.post("/v1/batches", json={"defaults": defaults, "jobs": list(jobs)}, headers=headers)


def file(image: bytes) -> dict[str, str]:
    return {"base64": b64encode(image).decode()}


def noise(seed: int) -> bytes:
    """Return a file of 18 kB that cannot be compressed."""
    pixels = np.random.default_rng(seed).integers(0, 255, (64, 96, 3), np.uint8)
    return encode(Image.fromarray(pixels), "PNG")


def stored_bytes(client: FlaskClient) -> int:
    return int(client.get("/v1/tenant").get_json()["use"]["stored_bytes"])


def masked_styles(client: FlaskClient, styles: int, masks: int) -> list[dict[str, Any]]:
    """Return a job for each style with each mask, which are uploaded."""
    style_ids = [upload(client, image_file((n, 0, 0))).get_json()["id"] for n in range(styles)]
    mask_ids = [upload(client, image_file(255 - n, mode="L")).get_json()["id"] for n in range(masks)]
    return [{"styles": [style], "style_masks": [mask]} for style in style_ids for mask in mask_ids]


def test_styles_with_masks_count_for_the_images_that_a_batch_has_decoded(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.inputs.reader.MAX_DECODED", 4)
    jobs = masked_styles(client, 2, 2)
    problem = post(client, [], *jobs).get_json()
    assert (problem["code"], problem["job"]) == ("too_many_images", 3)
    assert problem["detail"].startswith("jobs[3].styles[0]: At most 4 images are decoded for a batch")
    assert post(client, [], *jobs[:3], *jobs[:3]).status_code == 202, "each is decoded once"


def test_a_batch_is_refused_once_its_images_fill_the_quota(client: FlaskClient, services: Services) -> None:
    jobs = [{"content": file(noise(seed))} for seed in range(8)]
    problem = post(client, [file(PHOTO)], *jobs).get_json()
    assert problem["code"] == "storage_quota_exceeded"
    sizes = [len(image) for image in stored_blobs(services, "inputs/").values()]
    assert sum(sizes) - max(sizes) < LIMIT <= sum(sizes), "the quota is exceeded by one image at most"


def test_images_of_a_refused_batch_count_until_they_are_deleted(client: FlaskClient, services: Services) -> None:
    jobs: list[dict[str, Any]] = [{"content": file(noise(seed))} for seed in range(2)]
    jobs.append({"content": NO_IMAGE})
    problem = post(client, [file(PHOTO)], *jobs).get_json()
    assert problem["code"] == "image_not_found"
    stored = stored_blobs(services, "inputs/")
    assert stored_bytes(client) == sum(map(len, stored.values())) > 0
    list(measure_stored_bytes(services))
    assert stored_bytes(client) == sum(map(len, stored.values()))
    used = [f"sha256:{key.removeprefix('inputs/')}" for key in stored]
    codes = [post(client, [one], {"content": one}).get_json()["code"] for one in used]
    assert set(codes) == {"image_not_found"}, "a file of a batch has no ID"
    age_blobs(services)
    run_garbage_collection(services)
    list(measure_stored_bytes(services))
    assert (stored_bytes(client), stored_blobs(services, "inputs/")) == (0, {})


def test_an_uploaded_image_keeps_its_id_if_a_batch_contains_its_file(client: FlaskClient) -> None:
    uploaded = upload(client).get_json()["id"]
    assert post(client, [file(PHOTO)], {}).status_code == 202
    assert post(client, [uploaded], {"content": uploaded}).status_code == 202


def test_a_used_idempotency_key_stores_nothing(client: FlaskClient, services: Services) -> None:
    def send(*seeds: int) -> TestResponse:
        jobs = [{"content": file(noise(seed))} for seed in seeds]
        return post(client, [file(PHOTO)], *jobs, key="k")

    first = send(0).get_json()
    services.stored_bytes.add("default", LIMIT)
    before = stored_blobs(services)
    assert send(1, 2, 3).get_json()["code"] == "idempotency_key_reused"
    assert send(0).get_json()["id"] == first["id"], "also at the quota"
    assert stored_blobs(services) == before


def test_a_large_recipe_in_defaults_is_not_copied_to_each_job(client: FlaskClient) -> None:
    for field in ("recipe", "metadata"):
        body = {"defaults": {field: {"a": "x" * 17_000}}, "jobs": [{}] * 2}
        problem = client.post("/v1/batches", json=body).get_json()
        assert problem["code"] == "body_too_large"
        assert problem["detail"] == f"defaults.{field} has more than 16,384 characters."
    most = {f"{n:40}": "波" * 500 for n in range(20)}
    body = {"defaults": {"content": file(PHOTO), "styles": [file(PHOTO)], "recipe": RECIPE, "metadata": most}}
    assert client.post("/v1/batches", json={**body, "jobs": [{}]}).status_code == 202


def test_jobs_of_a_batch_are_canceled_and_deleted_in_threads(client: FlaskClient, services: Services) -> None:
    jobs = [{"recipe": {"seed": seed}} for seed in range(4)]
    batch = post(client, [file(PHOTO)], *jobs).get_json()
    store = MeetingStore(services.blobs)
    app = create_app(services.settings, replace(services, blobs=cast("BlobStore", store)))
    assert app.test_client().post(batch["urls"]["cancel"]).get_json()["counts"]["canceled"] == 4
    assert app.test_client().delete(batch["urls"]["self"]).status_code == 204
    assert store.met == {"control_request.json", "request.json"}
    assert sum(prefix.endswith("/contact-sheets/") for prefix in store.listed) == 1
    assert stored_blobs(services, "jobs/") == {}


class MeetingStore:
    """A blob store in which some writes and deletions wait for another one, of the same kind, in another thread."""

    def __init__(self, blobs: BlobStore) -> None:
        self._blobs, self.met, self.listed = blobs, set[str](), list[str]()
        self._barriers = {"control_request.json": threading.Barrier(2), "request.json": threading.Barrier(2)}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def put(self, key: str, *args: Any, **options: Any) -> None:
        if key.endswith("/control_request.json"):
            self._meet("control_request.json")
        self._blobs.put(key, *args, **options)

    def delete(self, key: str) -> None:
        if key.endswith("/request.json"):
            self._meet("request.json")
        self._blobs.delete(key)

    def list(self, prefix: str) -> Iterable[Blob]:
        self.listed.append(prefix)
        return self._blobs.list(prefix)

    def _meet(self, name: str) -> None:
        self._barriers[name].wait(20)
        self.met.add(name)
