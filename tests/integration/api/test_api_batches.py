"""Batches: all jobs or none, one status, one cancel."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import PHOTO, STYLE, Submit, claim, image_file, report_progress, succeed, upload
from support.retention import Crash, age_blobs, interrupt_each_call, run_garbage_collection, stored_blobs
from uuid_utils import uuid7
from werkzeug.test import TestResponse

from api.app import create_app
from easel.models import JobState
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.settings import Settings
from shared.storage import keys

RECIPE = {"preset": "fast", "size": 96}


@pytest.fixture
def photo(client: FlaskClient) -> str:
    return str(upload(client).get_json()["id"])


@pytest.fixture
def style(client: FlaskClient) -> str:
    return str(upload(client, STYLE).get_json()["id"])


@pytest.fixture
def defaults(photo: str, style: str) -> dict[str, Any]:
    return {"content": photo, "styles": [style], "recipe": RECIPE}


def post(client: FlaskClient, defaults: dict[str, Any], *jobs: dict[str, Any], **headers: str) -> TestResponse:
    body = {"defaults": defaults, "jobs": list(jobs)}
    return client.post("/v1/batches", json=body, headers={name.replace("_", "-"): one for name, one in headers.items()})


def seeds(*numbers: int) -> list[dict[str, Any]]:
    return [{"recipe": {"seed": number}} for number in numbers]


def request_of(services: Services, job_id: str) -> dict[str, Any]:
    exclude = {"id", "created_at", "request_id", "batch", "digest"}
    return services.ledger.get(job_id).request.model_dump(exclude=exclude)


def test_a_batch_is_its_jobs_with_the_fields_that_they_have_in_common(
    client: FlaskClient, submit: Submit, services: Services, defaults: dict[str, Any]
) -> None:
    common = {**defaults, "metadata": {"order": "1"}, "tier": "batch"}
    others = {"recipe": {"preset": "gentle", "seed": 3}, "metadata": {"page": "2"}, "styles": [defaults["content"]]}
    response = post(client, common, {}, {"recipe": "gentle"}, {**others, "tier": "standard"})
    batch = response.get_json()
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == batch["urls"]["self"] == f"/v1/batches/{batch['id']}"
    assert batch["counts"] == {"queued": 3, "running": 0, "succeeded": 0, "failed": 0, "canceled": 0}
    assert (batch["progress"], batch["completed_at"], len(batch["jobs"])) == (0, None, 3)
    order = {"metadata": json.dumps({"order": "1"}), "tier": "batch"}
    alone = [
        submit(**order, recipe=json.dumps(RECIPE)),
        submit(**order, recipe=json.dumps(RECIPE | {"preset": "gentle"})),
    ]
    for job_id, single in zip(batch["jobs"], alone, strict=False):
        assert request_of(services, job_id) == request_of(services, single.get_json()["id"])
    third = client.get(f"/v1/jobs/{batch['jobs'][2]}").get_json()
    assert third["metadata"] == {"order": "1", "page": "2"}
    assert (third["recipe"]["preset"], third["recipe"]["size"], third["recipe"]["seed"]) == ("gentle", 96, 3)
    assert (third["tier"], third["batch"]) == ("standard", batch["id"])
    assert services.ledger.get(third["id"]).request.styles == (defaults["content"].removeprefix("sha256:"),)


def test_the_status_of_a_batch_follows_its_jobs(
    client: FlaskClient, services: Services, defaults: dict[str, Any]
) -> None:
    batch = post(client, defaults, *seeds(1, 2, 3, 4)).get_json()
    first = claim(services)
    succeed(services, first)
    report_progress(services, claim(services), 30)
    status = client.get(batch["urls"]["self"]).get_json()
    assert status["counts"] == {"queued": 2, "running": 1, "succeeded": 1, "failed": 0, "canceled": 0}
    assert status["progress"] == pytest.approx((1 + 0.5) / 4)
    assert first.job.id == batch["jobs"][0], "jobs run in the order in which they were sent"
    listed = client.get(f"{batch['urls']['jobs']}&limit=2").get_json()
    rest = client.get(f"{batch['urls']['jobs']}&cursor={listed['next_cursor']}&limit=2").get_json()
    assert [job["id"] for job in listed["jobs"] + rest["jobs"]] == batch["jobs"][::-1]
    assert rest["next_cursor"] is None
    queued = client.get(f"{batch['urls']['jobs']}&state=queued").get_json()["jobs"]
    assert [job["id"] for job in queued] == batch["jobs"][:1:-1]


def test_a_batch_is_canceled_and_deleted_as_a_whole(
    client: FlaskClient, services: Services, defaults: dict[str, Any]
) -> None:
    batch = post(client, defaults, *seeds(1, 2, 3)).get_json()
    succeed(services, claim(services))
    running = claim(services)
    assert client.delete(batch["urls"]["self"]).get_json()["code"] == "wrong_state"
    canceled = client.post(batch["urls"]["cancel"]).get_json()
    assert canceled["counts"] == {"queued": 0, "running": 1, "succeeded": 1, "failed": 0, "canceled": 1}
    services.ledger.end_job(running, JobState.SUCCEEDED)
    ended = client.post(batch["urls"]["cancel"]).get_json()
    assert ended["counts"] == {"queued": 0, "running": 0, "succeeded": 1, "failed": 0, "canceled": 2}
    assert (ended["progress"], ended["urls"]["cancel"]) == (1, None)
    assert ended["completed_at"] is not None
    assert client.delete(batch["urls"]["self"]).status_code == 204
    assert client.get(batch["urls"]["self"]).get_json()["code"] == "batch_not_found"
    assert [key for key in stored_blobs(services) if key.startswith(("jobs/", "batches/"))] == []
    actions = [entry["action"] for entry in client.get("/v1/audit").get_json()["entries"]]
    assert actions == ["batch.deleted", "batch.canceled", "batch.canceled", "batch.submitted"]


def test_a_batch_without_its_deleted_jobs_is_smaller_and_at_last_gone(
    client: FlaskClient, services: Services, defaults: dict[str, Any]
) -> None:
    batch = post(client, defaults, *seeds(1, 2)).get_json()
    client.post(batch["urls"]["cancel"])
    for left in (batch["jobs"][1:], []):
        assert client.delete(f"/v1/jobs/{batch['jobs'][1 - len(left)]}").status_code == 204
        assert client.get(batch["urls"]["self"]).get_json().get("jobs", []) == left
    age_blobs(services)
    run_garbage_collection(services)
    assert stored_blobs(services, "batches/") == {}


@pytest.mark.parametrize(
    ("job", "code", "field", "detail"),
    [
        ({"recipe": {"size": 9}}, "invalid_recipe", "jobs[1].recipe.size", "jobs[1]: "),
        ({"recipe": {"stepz": 9}}, "invalid_recipe", "jobs[1].recipe.stepz", "jobs[1]: "),
        ({"metadata": {"order": 5}}, "invalid_metadata", "jobs[1].metadata[order]", "jobs[1].metadata: "),
        ({"tier": "none"}, "unknown_tier", None, "jobs[1]: "),
        ({"styles": ["sha256:" + 64 * "0"]}, "image_not_found", None, "jobs[1].styles[0]: "),
        ({"styles": [{"base64": "-"}]}, "missing_image", None, "jobs[1].styles[0]: "),
        ({"content": {"base64": "AAAA"}}, "not_an_image", None, "jobs[1].content: "),
        ({"content": "http://example.com/a.jpg"}, "invalid_image_url", None, "jobs[1].content: "),
        ({"init_job": str(uuid7())}, "job_not_found", None, "jobs[1].init_job: "),
        ({"tiers": "batch"}, "malformed_request", "jobs[1].tiers", "Invalid body. jobs[1].tiers"),
        ({"webhook_url": 5}, "malformed_request", "jobs[1].webhook_url", "Invalid body. jobs[1].webhook_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_error_names_its_job_and_nothing_is_created(
    client: FlaskClient,
    defaults: dict[str, Any],
    stored_data: Callable[[], Any],
    *,
    job: dict[str, Any],
    code: str,
    field: str | None,
    detail: str,
) -> None:
    before = stored_data()
    problem = post(client, defaults, {}, job, {}).get_json()
    assert problem["code"] == code, problem
    assert problem["detail"].startswith(detail)
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    assert code == "malformed_request" or problem["job"] == 1
    assert stored_data() == before


def test_limits_count_all_jobs_of_a_batch(
    settings: Settings, services: Services, defaults: dict[str, Any], client: FlaskClient
) -> None:
    before = stored_blobs(services)
    assert post(client, defaults, *seeds(*range(6))).get_json()["code"] == "queue_full"
    assert stored_blobs(services) == before
    limited = settings.model_copy(update={"tenant_queued_jobs": 2, "tenant_pixel_evaluations_per_day": 10**6})
    other = create_app(limited, services).test_client()
    assert post(other, defaults, *seeds(1, 2, 3)).get_json()["code"] == "too_many_queued_jobs"
    problem = post(other, defaults, {"recipe": {"steps": 100}}, {"recipe": {"steps": 101}}).get_json()
    assert problem["code"] == "daily_quota_exceeded"
    assert problem["detail"].startswith("These 2 jobs take")
    assert stored_blobs(services) == before
    assert post(other, defaults | {"recipe": RECIPE | {"steps": 10}}, {}, {}).status_code == 202


@pytest.mark.parametrize(
    "body",
    [{"jobs": []}, {}, {"jobs": [{}] * 201}, {"jobs": {}}, [], {"jobs": [{}], "recipe": {}}],
    ids=["empty", "nothing", "too many", "no list", "a list", "fields beside defaults"],
)
def test_a_body_that_is_no_batch_is_malformed(client: FlaskClient, body: Any) -> None:
    assert client.post("/v1/batches", json=body).get_json()["code"] == "malformed_request"


def test_a_form_is_refused_with_advice(client: FlaskClient) -> None:
    response = client.post("/v1/batches", data={"content": "x"})
    assert (response.status_code, response.get_json()["code"]) == (415, "unsupported_media_type")


def test_a_file_in_several_jobs_is_read_once_and_the_number_of_files_is_limited(
    client: FlaskClient, services: Services, settings: Settings
) -> None:
    def file(image: bytes) -> dict[str, str]:
        return {"base64": b64encode(image).decode()}

    mask = file(image_file(255, mode="L"))
    defaults = {"content": file(PHOTO), "styles": [file(STYLE)], "content_masks": [mask], "style_masks": [mask]}
    batch = post(client, defaults | {"recipe": RECIPE}, *seeds(1, 2), {"content": file(STYLE)})
    assert batch.status_code == 202, batch.text
    jobs = services.ledger.get_many(batch.get_json()["jobs"])
    assert jobs[0].request.content == jobs[1].request.content
    assert jobs[0].request.content_masks
    assert jobs[2].request.content != jobs[0].request.content
    many = [{"content": file(image_file((n, 0, 0)))} for n in range(33)]
    roomy = create_app(settings.model_copy(update={"queue_limit": 100}), services).test_client()
    assert post(roomy, defaults | {"recipe": RECIPE}, *many).get_json()["code"] == "too_many_images"


def test_jobs_of_a_batch_wait_for_images_from_urls(client: FlaskClient, services: Services, style: str) -> None:
    defaults = {"styles": [style], "recipe": RECIPE}
    response = post(
        client, defaults, {"content": "https://example.com/a.jpg"}, {"content": "https://example.com/b.jpg"}
    )
    batch = response.get_json()
    assert response.status_code == 202, response.text
    assert set(services.fetches.due()) == set(batch["jobs"])
    assert batch["counts"]["queued"] == 2


def test_the_same_key_returns_the_same_batch(
    client: FlaskClient, submit: Submit, services: Services, defaults: dict[str, Any]
) -> None:
    first = post(client, defaults, *seeds(1, 2), Idempotency_Key="k")
    again = post(client, defaults, *seeds(1, 2), Idempotency_Key="k")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json()["jobs"] == first.get_json()["jobs"]
    assert len(services.ledger.list()) == 2
    for other in (
        post(client, defaults, *seeds(2, 1), Idempotency_Key="k"),
        post(client, defaults, *seeds(1), Idempotency_Key="k"),
        submit(headers={"Idempotency-Key": "k"}),
    ):
        assert other.get_json()["code"] == "idempotency_key_reused"
    client.post(first.get_json()["urls"]["cancel"])
    client.delete(first.get_json()["urls"]["self"])
    assert post(client, defaults, *seeds(2, 1), Idempotency_Key="k").status_code == 202, "the key goes with the batch"


def test_a_replay_that_meets_the_first_submission_leaves_nothing(
    client: FlaskClient, services: Services, defaults: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = post(client, defaults, *seeds(1, 2), Idempotency_Key="k").get_json()
    before = stored_blobs(services)
    monkeypatch.setattr("api.routes.batches.find_existing", lambda *_: None)  # as if it had been submitted just now
    again = post(client, defaults, *seeds(1, 2), Idempotency_Key="k")
    assert (again.status_code, again.get_json()["id"]) == (202, first["id"])
    assert stored_blobs(services) == before


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_while_a_batch_is_submitted_leaves_all_of_it_or_nothing(
    settings: Settings, services: Services, defaults: dict[str, Any], when: str
) -> None:
    """Also after Redis has lost its data, and after garbage collection."""

    def crash() -> None:
        raise Crash

    ends = set()
    for interrupted, store in interrupt_each_call(services, when, crash):
        app = create_app(settings, interrupted)
        known = {job.id for job in services.ledger.list(limit=1000)}
        try:
            response = post(app.test_client(), defaults, *seeds(1, 2, 3))
        except Crash:
            response = None
        age_blobs(services, 7200)
        services.ledger._redis.flushall()
        rebuild_ledger(services)
        run_garbage_collection(services)
        created = [job.id for job in services.ledger.list(limit=1000) if job.id not in known]
        ends.add(len(created))
        assert len(created) in ({3} if response else {0, 3})
        unfinished = [key for key in stored_blobs(services, "jobs/") if key.split("/")[1] not in {*created, *known}]
        assert unfinished == []
        cancel_all(services, created)
        if response:
            assert store.calls > 5
            break
    assert ends == {0, 3}


def cancel_all(services: Services, job_ids: Iterable[str]) -> None:
    for job_id in job_ids:
        services.ledger.request_control(job_id, "cancel")


def test_a_lost_redis_gives_the_batch_and_its_key_back(
    client: FlaskClient, services: Services, defaults: dict[str, Any]
) -> None:
    batch = post(client, defaults, *seeds(1, 2, 3), Idempotency_Key="k").get_json()
    services.ledger._redis.flushall()
    assert client.get(batch["urls"]["self"]).get_json()["code"] == "ledger_lost"
    assert rebuild_ledger(services) == 3
    assert client.get(batch["urls"]["self"]).get_json()["jobs"] == batch["jobs"]
    again = post(client, defaults, *seeds(1, 2, 3), Idempotency_Key="k")
    assert (again.get_json()["id"], again.headers["Idempotency-Replayed"]) == (batch["id"], "true")


def test_a_batch_that_was_sent_again_after_a_crash_is_not_restored_twice(
    client: FlaskClient, services: Services, defaults: dict[str, Any]
) -> None:
    lost = post(client, defaults, *seeds(1, 2), Idempotency_Key="k").get_json()
    services.ledger._redis.flushall()
    services.ledger.ensure_identity(json.loads(services.blobs.get(keys.LEDGER_IDENTITY))["id"])
    again = post(client, defaults, *seeds(1, 2), Idempotency_Key="k").get_json()
    age_blobs(services, 7200)
    run_garbage_collection(services)
    assert {job.id for job in services.ledger.list()} == set(again["jobs"])
    assert not any(services.blobs.exists(keys.request(job_id)) for job_id in lost["jobs"])
