"""The quota of stored bytes."""

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PHOTO, STYLE, claim, submit_job, succeed, upload
from support.fixtures.tenants import MakeClient

from shared.services import Services
from shared.storage import keys
from shared.tenants.quotas import Quotas, store_quotas
from worker.maintenance.stored_bytes import measure_stored_bytes

LIMIT = 1000


@pytest.fixture
def limited(make_client: MakeClient, services: Services) -> FlaskClient:
    """Return a client of the tenant acme, which may store LIMIT bytes."""
    store_quotas(services.blobs, "acme", Quotas(stored_bytes=LIMIT))
    return make_client("acme")[0]


def stored(services: Services) -> int:
    return services.stored_bytes.get("acme")


def test_at_its_quota_a_tenant_can_store_nothing_more_and_others_can(
    limited: FlaskClient, make_client: MakeClient, services: Services
) -> None:
    assert submit_job(limited, headers={"Idempotency-Key": "k"}).status_code == 202
    services.stored_bytes.add("acme", LIMIT - stored(services))
    for refused in (submit_job(limited), upload(limited)):
        problem = refused.get_json()
        assert (refused.status_code, problem["code"], problem["retryable"]) == (403, "storage_quota_exceeded", False)
        assert (problem["stored_bytes"], problem["limit_bytes"]) == (LIMIT, LIMIT)
        assert "1,000 bytes" in problem["detail"]
        assert "Delete jobs" in problem["detail"]
    assert submit_job(limited, query="?dry_run=true").status_code == 200
    assert submit_job(limited, headers={"Idempotency-Key": "k"}).headers["Idempotency-Replayed"] == "true"
    assert submit_job(make_client("other")[0]).status_code == 202
    assert stored(services) == LIMIT


def test_images_count_when_they_are_stored_and_only_once(limited: FlaskClient, services: Services) -> None:
    assert upload(limited, STYLE).status_code == 201
    style = stored(services)
    assert style == sum(blob.size for blob in services.blobs.list("inputs/"))
    assert upload(limited, STYLE).status_code == 201
    assert stored(services) == style
    assert submit_job(limited).status_code == 202
    assert stored(services) == sum(blob.size for blob in services.blobs.list("inputs/")) > style


def test_deleting_a_job_makes_room(limited: FlaskClient, services: Services) -> None:
    job_id = submit_job(limited).get_json()["id"]
    succeed(services, claim(services))
    list(measure_stored_bytes(services))
    store_quotas(services.blobs, "acme", Quotas(stored_bytes=stored(services)))
    services.stored_bytes.add("acme", 1)
    limited.application.extensions["easel"].quotas._caches.clear()
    assert submit_job(limited).status_code == 403
    assert limited.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert submit_job(limited).status_code == 202


def test_deleting_an_upload_makes_room_unless_a_job_refers_to_it(limited: FlaskClient, services: Services) -> None:
    photo, style = (upload(limited, image).get_json()["id"] for image in (PHOTO, STYLE))
    submit_job(limited, content=photo, style=photo)
    list(measure_stored_bytes(services))
    before = stored(services)
    for image in (photo, style):
        assert limited.delete(f"/v1/images/{image}").status_code == 204
    list(measure_stored_bytes(services))
    assert stored(services) == before - len(services.blobs.get(keys.input_image(style.removeprefix("sha256:"))))


def test_a_tenant_sees_its_quotas_and_what_it_uses(limited: FlaskClient, services: Services) -> None:
    submit_job(limited)
    submit_job(limited)
    claim(services)
    tenant = limited.get("/v1/tenant").get_json()
    assert tenant["name"] == "acme"
    assert tenant["quotas"] == {
        "requests_per_second": 0,
        "queued_jobs": 0,
        "running_jobs": 0,
        "pixel_evaluations_per_day": 0,
        "stored_bytes": LIMIT,
    }
    use = tenant["use"]
    assert (use["queued_jobs"], use["running_jobs"], use["stored_bytes"]) == (1, 1, stored(services))
    assert use["pixel_evaluations_today"] > 0


def test_bytes_are_not_shown_without_a_quota(client: FlaskClient) -> None:
    assert client.get("/v1/tenant").get_json()["use"]["stored_bytes"] is None
