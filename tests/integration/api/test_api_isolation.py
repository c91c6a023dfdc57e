"""Tenants do not see each other's jobs: every route is called with a stranger's key."""

import json
from typing import Any, Final

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support.fixtures.api import (
    add_iteration,
    add_preview,
    claim,
    image_file,
    report_progress,
    submit_job,
    succeed,
    upload,
    worker_info,
)
from support.fixtures.tenants import MakeClient
from uuid_utils import uuid7
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from shared.jobs.saved_iterations import SavedIterations
from shared.ledger.ledger import NAMESPACE
from shared.services import Services
from shared.storage import keys

WITHOUT_JOBS: Final = {
    *("recipes.get_recipes", "session.get_session", "session.sign_in", "session.sign_out"),
    *("health.healthz", "health.readyz", "metrics.metrics", "docs.openapi", "docs.docs"),
    *("styles.list_styles", "styles.get_operator_style"),
    *("pages.studio", "pages.queue", "pages.gallery", "pages.asset"),
    *(
        "tenant.get_tenant",
        "tenant.get_webhook_secrets",
        "tenant.rotate_webhook_secrets",
        "keys.get_keys",
        "keys.post_key",
        "keys.delete_key",
        "audit.get_audit",
    ),
}
"""Routes that return nothing about any job, but for the audit log, which is for operators."""
LISTS: Final = {
    "jobs.list_jobs": ("/v1/jobs", "/v1/jobs?state=running", "/v1/jobs?state=succeeded", "/v1/jobs?limit=1"),
    "queue.get_queue": ("/v1/queue",),
    "queue.get_queue_events": ("/v1/queue/events",),
    "queue.list_queue_jobs": ("/v1/queue/standard/jobs", "/v1/queue/batch/jobs"),
}
"""Routes that return several jobs, and URLs of each."""
SUBMIT: Final = {"submit.submit", "uploaded_images.post_image", "uploaded_images.delete_image", "batches.post_batch"}
SIGNED: Final = {"shares.get_shared"}
"""Routes that need a signature instead of a key: see test_api_share_links.py."""
NUMBERS: Final = {"number": "0", "step": "1"}


@pytest.fixture
def owner(make_client: MakeClient) -> FlaskClient:
    return make_client("acme")[0]


@pytest.fixture
def stranger(make_client: MakeClient) -> FlaskClient:
    return make_client("other", "jobs", "read", "metrics", "admin")[0]


@pytest.fixture
def job_ids(owner: FlaskClient, services: Services) -> list[str]:
    """Return the IDs of the owner's jobs: succeeded with all that a job can have, running, queued in each tier."""
    services.queue_stats.register_worker(worker_info())
    mask = image_file(255, mode="L")
    first = submit_job(owner, content_mask=mask, init_image=image_file(), headers={"Idempotency-Key": "k"}).get_json()
    done = claim(services)
    for step in (1, 2):
        report_progress(services, done, step)
        add_preview(services, done, step)
    add_iteration(services, done, SavedIterations(), 1)
    succeed(services, done)
    running = submit_job(owner).get_json()
    claimed = claim(services)
    report_progress(services, claimed, 3)
    services.queue_stats.register_worker(worker_info(job=claimed.job.id))
    return [
        job["id"] for job in (first, running, submit_job(owner).get_json(), submit_job(owner, tier="batch").get_json())
    ]


def of_job(rule: Rule, job_id: str) -> str:
    """Return the URL of a route for this job."""
    path = rule.rule.replace("<job_id>", job_id)
    for name, value in NUMBERS.items():
        path = path.replace(f"<int:{name}>", value)
    path = path.replace("<picture>", "result.png")
    assert "<" not in path, f"Add the parameter of {rule.rule} to this test."
    return path


def calls(app: Flask) -> list[tuple[str, Rule]]:
    return [
        (method, rule) for rule in app.url_map.iter_rules() for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    ]


def comparable(response: TestResponse, job_id: str) -> object:
    """Return all that a client gets, without what differs in each request."""
    body = response.get_data(as_text=True).replace(job_id, "ID")
    problem = {name: value for name, value in json.loads(body).items() if name != "request_id"}
    headers = {name: value for name, value in response.headers if name not in {"X-Request-Id", "Content-Length"}}
    return response.status_code, problem, headers


def test_each_route_is_walked(uncached_app: Flask) -> None:
    """A new route fails here until this module knows how to call it."""
    unknown = (
        {rule.endpoint for _, rule in calls(uncached_app) if not {"job_id", "batch_id"} & rule.arguments}
        - WITHOUT_JOBS
        - LISTS.keys()
        - SUBMIT
    )
    assert unknown == set(), "Say in this module what the new route shows of jobs."


def test_another_tenants_job_is_the_same_404_as_no_job(
    uncached_app: Flask, stranger: FlaskClient, job_ids: list[str], services: Services
) -> None:
    walked = 0
    for method, rule in calls(uncached_app):
        if "job_id" not in rule.arguments:
            continue
        for job_id in job_ids:
            for wanted in (job_id, job_id.upper()):
                unknown = str(uuid7())
                foreign = stranger.open(of_job(rule, wanted), method=method)
                missing = stranger.open(of_job(rule, unknown), method=method)
                assert foreign.status_code == 404, (method, rule.rule)
                assert comparable(foreign, wanted) != comparable(foreign, "x")
                assert lowered(foreign, wanted) == lowered(missing, unknown), (method, rule.rule)
                walked += 1
    assert walked >= 20 * len(job_ids)
    assert all(services.ledger.exists(job_id) for job_id in job_ids)
    assert all(services.ledger.get(job_id).cancel_requested_at is None for job_id in job_ids)


def test_another_tenants_batch_is_the_same_404_as_no_batch(
    uncached_app: Flask, owner: FlaskClient, stranger: FlaskClient
) -> None:
    photo, style = (upload(owner, image).get_json()["id"] for image in (image_file(), image_file((1, 2, 3))))
    job = {"content": photo, "styles": [style], "recipe": {"preset": "fast", "size": 96}}
    batch = owner.post("/v1/batches", json={"jobs": [job, job]}).get_json()
    walked = set()
    for method, rule in calls(uncached_app):
        if "batch_id" not in rule.arguments:
            continue
        for wanted in (batch["id"], batch["id"].upper(), "x"):
            unknown = str(uuid7())
            foreign = stranger.open(rule.rule.replace("<batch_id>", wanted), method=method)
            missing = stranger.open(rule.rule.replace("<batch_id>", unknown), method=method)
            assert (foreign.status_code, foreign.get_json()["code"]) == (404, "batch_not_found")
            assert lowered(foreign, wanted) == lowered(missing, unknown), (method, rule.rule)
        walked.add(rule.endpoint)
    assert {"batches.get_batch", "batches.cancel_batch", "batches.delete_batch"} <= walked
    assert stranger.get(batch["urls"]["jobs"]).get_json()["jobs"] == []
    assert owner.get(batch["urls"]["self"]).get_json()["counts"]["queued"] == 2


def lowered(response: TestResponse, job_id: str) -> str:
    return str(comparable(response, job_id)).replace(job_id.lower(), "ID")


def test_the_owner_gets_what_strangers_do_not(uncached_app: Flask, owner: FlaskClient, job_ids: list[str]) -> None:
    """Else the test above would prove nothing."""
    for method, rule in calls(uncached_app):
        if "job_id" in rule.arguments and method == "GET":
            if rule.endpoint in SIGNED:
                continue
            response = owner.get(of_job(rule, job_ids[0]))
            assert response.status_code == 200, rule.rule
            response.close()


def shown(client: FlaskClient, url: str) -> str:
    """Return the response; of a stream, its first two messages."""
    response = client.get(url)
    assert response.status_code == 200
    text = "".join(str(next(iter(response.response))) for _ in range(2)) if "events" in url else response.text
    response.close()
    return text


def test_lists_and_the_queue_show_only_own_jobs(owner: FlaskClient, stranger: FlaskClient, job_ids: list[str]) -> None:
    for urls in LISTS.values():
        assert any(job_id in shown(owner, url) for url in urls for job_id in job_ids)
        for url in urls:
            text = shown(stranger, url)
            assert [secret for secret in (*job_ids, "acme") if secret in text] == []
    own = submit_job(stranger).get_json()
    assert [job["id"] for job in stranger.get("/v1/jobs").get_json()["jobs"]] == [own["id"]]
    page = stranger.get("/v1/queue/standard/jobs").get_json()
    assert ([job["id"] for job in page["jobs"]], page["total"]) == ([own["id"]], 1)
    assert own["queue_position"] == 2, "positions count the jobs of all tenants"


def test_the_queue_counts_all_jobs_and_shows_that_workers_are_busy(
    owner: FlaskClient, stranger: FlaskClient, job_ids: list[str]
) -> None:
    for client, job, running in ((owner, job_ids[1], 1), (stranger, None, 0)):
        queue = client.get("/v1/queue").get_json()
        assert [tier["depth"] for tier in queue["tiers"]] == [0, 1, 1]
        assert [(worker["busy"], worker["job"]) for worker in queue["workers"]] == [(True, job)]
        assert len(queue["running"]) == running


def test_idempotency_keys_belong_to_a_tenant(owner: FlaskClient, stranger: FlaskClient, job_ids: list[str]) -> None:
    headers, other = {"Idempotency-Key": "k"}, {"recipe": '{"preset": "fast", "size": 128}'}
    created = submit_job(stranger, headers=headers, **other)
    assert created.status_code == 202
    assert created.get_json()["id"] not in job_ids
    again = submit_job(stranger, headers=headers, **other)
    assert (again.get_json()["id"], again.headers["Idempotency-Replayed"]) == (created.get_json()["id"], "true")
    assert submit_job(owner, headers=headers, **other).get_json()["code"] == "idempotency_key_reused"


def test_idempotency_keys_of_two_tenants_never_meet(make_client: MakeClient) -> None:
    """Whatever is in them: the key of one may look like that of the other in Redis."""
    names = ("k", "acme:k", "tenant:acme:idempotency:k", "acme:idempotency:k")
    clients = [make_client(tenant)[0] for tenant in ("default", "acme")]
    ids = [
        submit_job(client, headers={"Idempotency-Key": name}).get_json()["id"]
        for client in clients[:1]
        for name in names
    ]
    ids.append(submit_job(clients[1], headers={"Idempotency-Key": "k"}).get_json()["id"])
    assert len(set(ids)) == len(names) + 1


def test_a_job_cannot_start_from_another_tenants_result(
    owner: FlaskClient, stranger: FlaskClient, job_ids: list[str]
) -> None:
    unknown = str(uuid7())
    for query in ("", "?dry_run=true"):
        foreign = submit_job(stranger, query=query, init_job=job_ids[0])
        missing = submit_job(stranger, query=query, init_job=unknown)
        assert foreign.status_code == 404
        assert comparable(foreign, job_ids[0]) == comparable(missing, unknown)
        assert submit_job(owner, query=query, init_job=job_ids[0]).status_code in {200, 202}


def test_a_job_cannot_have_another_tenants_image(owner: FlaskClient, stranger: FlaskClient) -> None:
    image_id, unknown = upload(owner).get_json()["id"], f"sha256:{64 * 'a'}"
    roles = ("content", "style", "style_mask", "content_mask", "init_image")
    for query in ("", "?dry_run=true"):
        for role in roles:
            foreign, missing = (submit_job(stranger, query=query, **{role: one}) for one in (image_id, unknown))
            assert (foreign.status_code, foreign.get_json()["code"]) == (404, "image_not_found")
            assert comparable(foreign, image_id) == comparable(missing, unknown)
        assert submit_job(owner, query=query, content=image_id).status_code in {200, 202}
    assert upload(stranger).get_json()["id"] == image_id
    assert submit_job(stranger, content=image_id).status_code == 202


def test_a_deletion_cut_short_can_be_completed_only_by_its_tenant(
    owner: FlaskClient, stranger: FlaskClient, job_ids: list[str], services: Services
) -> None:
    owner.delete(f"/v1/jobs/{job_ids[2]}")
    owner.post(f"/v1/jobs/{job_ids[2]}/cancel")
    services.blobs.put(
        keys.final(job_ids[2]), services.ledger.get(job_ids[2]).model_dump_json(exclude={"request"}).encode()
    )
    services.blobs.delete(keys.request(job_ids[2]))
    services.ledger.delete(job_ids[2])
    assert stranger.delete(f"/v1/jobs/{job_ids[2]}").status_code == 404
    assert owner.delete(f"/v1/jobs/{job_ids[2]}").status_code == 204
    assert owner.delete(f"/v1/jobs/{job_ids[2]}").status_code == 404


def test_jobs_of_an_older_version_are_listed_by_the_default_tenant(
    services: Services, make_client: MakeClient, job_ids: list[str]
) -> None:
    client, _ = make_client("default")
    old = submit_job(client).get_json()["id"]
    redis: Any = services.ledger._redis
    redis.delete(f"{NAMESPACE}:tenant:default:jobs", f"{NAMESPACE}:tenant:default:jobs:queued")
    redis.zadd(f"{NAMESPACE}:tenant:default:jobs:running", {old: 0})  # it was, before an older process returned it
    redis.hdel(f"{NAMESPACE}:job:{old}", "tenant")
    assert client.get("/v1/jobs").get_json()["jobs"] == []
    services.ledger.list_tenants()
    for url in ("/v1/jobs", "/v1/jobs?state=queued", "/v1/queue/standard/jobs"):
        assert [job["id"] for job in client.get(url).get_json()["jobs"]] == [old]
    assert client.get("/v1/jobs?state=running").get_json()["jobs"] == []
    assert client.get(f"/v1/jobs/{old}").status_code == 200
    assert len(job_ids) == len(services.ledger.list(tenant="acme"))
