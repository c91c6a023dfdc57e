"""Batches and a Redis that lost some records, is rebuilt during their submission, or becomes unavailable."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from support.fixtures.api import STYLE, claim, succeed, upload
from support.fixtures.ledger import request
from support.retention import age_blobs, lose_record, run_garbage_collection
from werkzeug.test import TestResponse

from api.app import create_app
from deploy.local.stack import free_port
from shared.dispatch import Dispatcher, create_celery_app
from shared.errors import LedgerUnavailable
from shared.jobs.estimate import pixel_evaluations
from shared.ledger.queue_stats import QueueStats, WorkerInfo
from shared.recovery import deletion
from shared.recovery.job_files import finalize, write_batch
from shared.recovery.rebuild import rebuild_ledger, restore_job
from shared.services import Services
from shared.settings import Settings
from shared.storage import Blob, BlobStore


@pytest.fixture
def body(client: FlaskClient) -> dict[str, Any]:
    """Return a batch of four jobs."""
    content, style = upload(client).get_json()["id"], upload(client, STYLE).get_json()["id"]
    defaults = {"content": content, "styles": [style], "recipe": {"preset": "fast", "size": 96}}
    return {"defaults": defaults, "jobs": [{"recipe": {"seed": number}} for number in range(4)]}


def post(client: FlaskClient, body: dict[str, Any]) -> TestResponse:
    return client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})


def collect_garbage(services: Services) -> None:
    age_blobs(services, 7200)
    run_garbage_collection(services)


def test_nothing_of_a_batch_is_shown_canceled_or_deleted_while_records_of_it_are_lost(
    client: FlaskClient, services: Services, body: dict[str, Any]
) -> None:
    batch = post(client, body).get_json()
    first = claim(services)
    succeed(services, first)
    finalize(services.ledger, services.blobs, first.job.id)
    for job_id in batch["jobs"][1:]:
        lose_record(services, job_id)
    urls = batch["urls"]
    responses = [
        client.get(urls["self"]),
        client.get(f"{urls['self']}/contact-sheet"),
        client.post(urls["cancel"]),
        client.delete(urls["self"]),
        post(client, body),
    ]
    assert [(one.status_code, one.get_json()["code"]) for one in responses] == [(503, "ledger_lost")] * 5
    collect_garbage(services)
    assert client.get(urls["self"]).get_json()["counts"] == {**batch["counts"], "queued": 3, "succeeded": 1}
    assert client.get(urls["self"]).get_json()["jobs"] == batch["jobs"]
    client.post(urls["cancel"])
    assert client.delete(urls["self"]).status_code == 204


def test_a_batch_of_which_a_record_is_lost_while_it_is_deleted_keeps_that_job(
    client: FlaskClient, services: Services, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = post(client, body).get_json()
    client.post(batch["urls"]["cancel"])
    for job_id in batch["jobs"]:
        finalize(services.ledger, services.blobs, job_id)
    delete_job = deletion.delete_job

    def lose_second_and_delete(services: Services, job_id: str, **options: bool) -> None:
        if job_id == batch["jobs"][1]:
            lose_record(services, job_id)
        delete_job(services, job_id, **options)

    monkeypatch.setattr(deletion, "delete_job", lose_second_and_delete)
    assert client.delete(batch["urls"]["self"]).get_json()["code"] == "ledger_lost"
    collect_garbage(services)
    assert client.get(batch["urls"]["self"]).get_json()["jobs"] == batch["jobs"][1:2]


def interrupt_after_write_batch(
    monkeypatch: pytest.MonkeyPatch, interruption: Callable[[Sequence[str]], object]
) -> None:
    """Interrupt a submission between the file of the batch and its records."""

    def interrupted(blobs: BlobStore, batch_id: str, job_ids: Sequence[str]) -> None:
        write_batch(blobs, batch_id, job_ids)
        interruption(job_ids)

    monkeypatch.setattr("api.routes.batches.write_batch", interrupted)


class EarlyList:
    """A blob store whose list of jobs was read before some requests were written."""

    def __init__(self, blobs: BlobStore, unlisted: Sequence[str]) -> None:
        self._blobs, self._unlisted = blobs, unlisted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def list(self, prefix: str = "") -> Iterator[Blob]:
        blobs = self._blobs.list(prefix)
        return (blob for blob in blobs if prefix != "jobs/" or blob.key.split("/")[1] not in self._unlisted)


def test_a_rebuild_that_lists_a_part_of_a_batch_restores_all_of_it(
    client: FlaskClient, services: Services, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_and_rebuild(job_ids: Sequence[str]) -> None:
        services.ledger._redis.flushall()
        early = replace(services, blobs=cast("BlobStore", EarlyList(services.blobs, job_ids[2:])))
        assert rebuild_ledger(early) == len(job_ids)

    interrupt_after_write_batch(monkeypatch, lose_and_rebuild)
    response = post(client, body)
    batch = response.get_json()
    assert response.status_code == 202, response.text
    assert (batch["counts"]["queued"], len(batch["jobs"])) == (4, 4)
    assert services.queue_stats.depth("standard") == 4
    again = post(client, body)
    assert (again.get_json()["id"], again.headers["Idempotency-Replayed"]) == (batch["id"], "true")


def test_a_batch_of_which_a_rebuild_has_restored_a_part_is_created_as_a_whole_whatever_the_limits(
    services: Services, settings: Settings, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = settings.model_copy(update={"tenant_queued_jobs": 4, "tenant_pixel_evaluations_per_day": 10**9})
    client, others = create_app(limited, services).test_client(), list[int]()

    def rebuild_partly(job_ids: Sequence[str]) -> None:
        assert restore_job(services, job_ids[0])
        assert restore_job(services, job_ids[2])
        services.ledger.submit(request(), request(), queue_limit=9, remember_seconds=9)
        others.append(services.queue_stats.pixel_evaluations_today("default"))

    interrupt_after_write_batch(monkeypatch, rebuild_partly)
    response = post(client, body)
    batch = response.get_json()
    assert response.status_code == 202, response.text
    assert (batch["counts"]["queued"], len(batch["jobs"])) == (4, 4)
    assert services.queue_stats.depth("standard") == 6, "each job is queued once"
    one = services.ledger.get(batch["jobs"][1]).request
    cost = round(pixel_evaluations(one.recipe, one.width or 0, one.height or 0))
    assert services.queue_stats.pixel_evaluations_today("default") - others[0] == 2 * cost, "as they are new"
    assert post(client, body).headers["Idempotency-Replayed"] == "true"


def test_a_batch_whose_workers_cannot_be_notified_is_accepted_and_in_the_audit_log(
    client: FlaskClient, services: Services, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def workers(_: QueueStats) -> list[WorkerInfo]:
        if services.ledger.list(limit=1):
            raise LedgerUnavailable
        return []

    monkeypatch.setattr(QueueStats, "workers", workers)
    response = post(client, body)
    assert (response.status_code, len(services.ledger.list())) == (202, 4)
    assert [entry["action"] for entry in client.get("/v1/audit").get_json()["entries"]] == ["batch.submitted"]


@pytest.mark.parametrize("content", ["an upload", "https://example.com/a.jpg"])
def test_without_a_broker_one_message_of_a_batch_is_tried(
    settings: Settings, services: Services, body: dict[str, Any], content: str
) -> None:
    for name in ("one", "two"):
        info = WorkerInfo(name=name, device="cpu:2", weights="", tiers=("standard",), job=None, seen_at=2e10)
        services.queue_stats.register_worker(info)
    if content.startswith("https:"):
        body["defaults"]["content"] = content
    celery = create_celery_app(settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"}))
    unconnected = replace(services, dispatcher=Dispatcher(celery, services.ledger._redis))
    with capture_logs() as logs:
        assert post(create_app(settings, unconnected).test_client(), body).status_code == 202
    failures = [log["event"] for log in logs if log["event"] in {"wake_up_failed", "asset_task_not_sent"}]
    assert len(failures) == 1
