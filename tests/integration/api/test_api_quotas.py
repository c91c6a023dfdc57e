"""Quotas of tenants: requests, queued jobs, pixel evaluations."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from support.fixtures.api import claim, submit_job
from support.fixtures.tenants import MakeClient

from api.app import create_app
from deploy.local.stack import free_port
from shared.jobs.estimate import pixel_evaluations
from shared.ledger.ledger import NAMESPACE
from shared.presets import resolve
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import keys
from shared.tenants import rate_limit
from shared.tenants.quotas import Quotas, read_quotas, store_quotas

RECIPE = '{"preset": "fast", "size": 96}'  # of `submit_job`, on a photo of 96 x 64 pixels
COST = round(pixel_evaluations(resolve({"preset": "fast", "size": 96}), 96, 64))


def refusal(response: Any) -> tuple[int, str, int]:
    """Return status, code and the seconds of Retry-After."""
    return response.status_code, response.get_json()["code"], int(response.headers["Retry-After"])


def test_requests_above_the_quota_get_a_429_and_others_are_not_affected(
    make_client: MakeClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 3000)  # long enough for a slow machine
    client, _ = make_client("acme", "read")
    same_tenant, other = make_client("acme", "read")[0], make_client("other", "read")[0]
    store_quotas(services.blobs, "acme", Quotas(requests_per_second=0.001))
    sent = [client.get("/v1/jobs") for _ in range(2)]
    assert [response.headers["RateLimit-Policy"] for response in sent] == ['"requests";q=3;w=3000'] * 2
    limits = [re.fullmatch(r'"requests";r=(\d);t=(\d+)', response.headers["RateLimit"]) for response in sent]
    assert [limit and limit[1] for limit in limits] == ["2", "1"]
    assert [limit and round(int(limit[2]), -3) for limit in limits] == [1000, 2000]
    assert same_tenant.get("/v1/recipes").status_code == 200
    refused = client.get("/v1/jobs")
    status, code, seconds = refusal(refused)
    assert (status, code) == (429, "rate_limited")
    assert round(seconds, -3) == 1000
    assert refused.get_json()["retry_after_seconds"] == seconds
    assert refused.headers["RateLimit"].startswith('"requests";r=0;t=')
    assert other.get("/v1/jobs").status_code == 200
    for url in ("/healthz", "/", "/v1/session"):
        assert client.get(url).status_code == 200, "what needs no key is not counted"


def test_a_quota_is_available_again_after_a_while(
    make_client: MakeClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = make_client("acme", "read")
    monkeypatch.setattr(rate_limit, "WINDOW_SECONDS", 1000)
    store_quotas(services.blobs, "acme", Quotas(requests_per_second=0.001))
    assert client.get("/v1/jobs").status_code == 200
    assert client.get("/v1/jobs").status_code == 429
    assert 0 < services.ledger._redis.ttl(f"{NAMESPACE}:tenant:acme:requests") <= 1000
    services.ledger._redis.incrbyfloat(f"{NAMESPACE}:tenant:acme:requests", -1000)  # as if so much time had passed
    assert client.get("/v1/jobs").status_code == 200


def test_without_redis_requests_are_not_counted(settings: Settings, services: Services) -> None:
    limited = settings.model_copy(
        update={"redis_url": f"redis://127.0.0.1:{free_port()}/0", "tenant_requests_per_second": 0.1}
    )
    client = create_app(limited, open_services(limited)).test_client()
    for _ in range(3):
        assert client.get("/v1/recipes").status_code == 200
    assert services.ledger.identity()


def test_a_tenant_may_have_only_so_many_queued_jobs(make_client: MakeClient, services: Services) -> None:
    client, other = make_client("acme")[0], make_client("other")[0]
    store_quotas(services.blobs, "acme", Quotas(queued_jobs=1))
    assert submit_job(client, headers={"Idempotency-Key": "k"}).status_code == 202
    assert refusal(submit_job(client)) == (429, "too_many_queued_jobs", 30)
    assert submit_job(client, headers={"Idempotency-Key": "k"}).headers["Idempotency-Replayed"] == "true"
    assert submit_job(other).status_code == 202
    claim(services)
    assert submit_job(client).status_code == 202


def test_a_tenant_may_submit_only_so_much_work_in_a_day(make_client: MakeClient, services: Services) -> None:
    client, other = make_client("acme")[0], make_client("other")[0]
    store_quotas(services.blobs, "acme", Quotas(pixel_evaluations_per_day=2 * COST))
    for _ in range(2):
        assert submit_job(client).status_code == 202
    refused = submit_job(client)
    status, code, seconds = refusal(refused)
    assert (status, code) == (429, "daily_quota_exceeded")
    assert 1 <= seconds <= 24 * 3600
    assert f"{COST:,}" in refused.get_json()["detail"]
    assert submit_job(other).status_code == 202
    assert submit_job(client, query="?dry_run=true").status_code == 200
    (used,) = services.ledger._redis.keys(f"{NAMESPACE}:tenant:acme:pixel_evaluations:*")
    assert int(services.ledger._redis.get(used)) == 2 * COST
    assert 24 * 3600 < services.ledger._redis.ttl(used) <= 2 * 24 * 3600, "all of the day, and then it expires"
    services.ledger._redis.rename(used, used[:-1] + "x")  # as if it were the next day
    assert submit_job(client).status_code == 202


def test_a_refused_job_leaves_nothing(
    uncached_app: Flask, make_client: MakeClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = make_client("acme")
    monkeypatch.setattr(type(services.queue_stats), "count", lambda *_: 0)  # another request is faster
    store_quotas(services.blobs, "acme", Quotas(queued_jobs=1, pixel_evaluations_per_day=10 * COST))
    first = submit_job(client).get_json()["id"]
    for quotas in (Quotas(queued_jobs=1), Quotas(pixel_evaluations_per_day=COST)):
        store_quotas(services.blobs, "acme", quotas)
        uncached_app.extensions["easel"].quotas._caches.clear()
        assert submit_job(client).status_code == 429
    stored = [blob.key for blob in services.blobs.list("jobs/")]
    assert stored == [keys.request(first)]


def test_a_quota_of_the_settings_holds_for_each_tenant_without_its_own(
    settings: Settings, services: Services, make_client: MakeClient
) -> None:
    texts = [make_client(tenant)[0].environ_base["HTTP_AUTHORIZATION"] for tenant in ("acme", "other")]
    store_quotas(services.blobs, "other", Quotas(queued_jobs=0))
    app = create_app(settings.model_copy(update={"tenant_queued_jobs": 1}), services)
    limited, unlimited = (app.test_client() for _ in texts)
    for client, text in zip((limited, unlimited), texts, strict=True):
        client.environ_base["HTTP_AUTHORIZATION"] = text
    assert [submit_job(limited).status_code for _ in range(2)] == [202, 429]
    assert [submit_job(unlimited).status_code for _ in range(2)] == [202, 202]


def test_quotas_are_stored_per_tenant(services: Services, settings: Settings) -> None:
    assert read_quotas(services.blobs, "acme") == Quotas()
    store_quotas(services.blobs, "acme", Quotas(queued_jobs=3))
    assert read_quotas(services.blobs, "acme").queued_jobs == 3
    assert read_quotas(services.blobs, "acme").or_defaults(settings) == Quotas(
        requests_per_second=0, queued_jobs=3, running_jobs=0, pixel_evaluations_per_day=0, stored_bytes=0
    )


def test_a_client_without_a_quota_gets_no_rate_limit_headers(client: FlaskClient) -> None:
    assert not [name for name, _ in client.get("/v1/jobs").headers if name.startswith("RateLimit")]
