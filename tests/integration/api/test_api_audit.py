"""The audit log: who changed which job or key."""

from typing import Any

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs
from support.fixtures.api import claim, report_progress, submit_job, upload
from support.fixtures.tenants import MakeClient
from typer.testing import CliRunner

from shared.errors import LedgerUnavailable
from shared.services import Services
from shared.settings import Settings
from shared.tenants import audit
from shared.tenants.audit import AuditEntry, AuditLog
from worker.cli import app as worker_cli


def entries(admin: FlaskClient, query: str = "") -> list[dict[str, Any]]:
    return list(admin.get(f"/v1/audit{query}").get_json()["entries"])


def test_the_log_says_who_did_what(make_client: MakeClient, services: Services) -> None:
    (client, key), (admin, own) = make_client("acme"), make_client("default", "admin")
    headers = {"Idempotency-Key": "k", "X-Request-Id": "r1"}
    job = submit_job(client, headers=headers).get_json()["id"]
    submit_job(client, headers=headers)  # a replay does nothing
    report_progress(services, claim(services), 1)
    client.post(f"/v1/jobs/{job}/finish")
    other = submit_job(client).get_json()["id"]
    client.post(f"/v1/jobs/{other.upper()}/cancel")
    client.post(f"/v1/jobs/{other}/cancel")  # is refused
    client.delete(f"/v1/jobs/{other}")
    image = upload(client).get_json()["id"]
    client.delete(f"/v1/images/{image}")
    client.delete(f"/v1/images/{image}")  # does nothing
    created = admin.post("/v1/keys", json={"tenant": "acme"}).get_json()["prefix"]
    admin.delete(f"/v1/keys/{created}")
    found = entries(admin)[::-1]
    assert [(one["action"], one["job"] or one["image"] or one["key"]) for one in found] == [
        ("job.submitted", job),
        ("job.finished", job),
        ("job.submitted", other),
        ("job.canceled", other),
        ("job.deleted", other),
        ("image.deleted", image),
        ("key.created", created),
        ("key.revoked", created),
    ]
    assert {(one["caller"], one["tenant"]) for one in found[:6]} == {(f"key {key.prefix}", "acme")}
    assert {(one["caller"], one["tenant"]) for one in found[6:]} == {(f"key {own.prefix}", "default")}
    assert {one["address"] for one in found} == {"127.0.0.1"}
    assert found[0]["request_id"] == "r1"
    assert all(one["at"].endswith("Z") and one["request_id"] for one in found)


def test_the_log_is_read_in_pages_newest_first(make_client: MakeClient, services: Services) -> None:
    admin, _ = make_client("default", "admin")
    for number in range(5):
        services.audit_log.add(AuditEntry(action="job.submitted", caller="somebody", job=str(number)))
    jobs, cursor = [], ""
    for size in (2, 2, 1):
        page = admin.get(f"/v1/audit?limit=2{cursor}").get_json()
        assert len(page["entries"]) == size
        jobs += [one["job"] for one in page["entries"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert (jobs, cursor) == (["4", "3", "2", "1", "0"], "&cursor=None")
    for wrong in ("x", "1", "1-", "%2B", "99999999999999999999-0"):
        assert admin.get(f"/v1/audit?cursor={wrong}").get_json()["code"] == "invalid_cursor"


def test_the_log_is_capped(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MAX_ENTRIES", 100)
    for _ in range(400):
        services.audit_log.add(AuditEntry(action="job.submitted", caller="somebody"))
    assert services.ledger._redis.xlen("easel:audit") < 300


def test_an_action_succeeds_if_its_entry_cannot_be_stored(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin, _ = make_client("default", "admin")

    def fail(*_: object) -> None:
        raise LedgerUnavailable

    monkeypatch.setattr(AuditLog, "add", fail)
    with capture_logs() as lines:
        created = admin.post("/v1/keys", json={})
    assert created.status_code == 201
    assert [line["event"] for line in lines if line["event"].startswith("audit")] == ["audit", "audit_entry_not_stored"]
    (line,) = (line for line in lines if line["event"] == "audit")
    assert (line["action"], line["key"], line["address"]) == ("key.created", created.get_json()["prefix"], "127.0.0.1")


def test_keys_that_the_command_creates_and_revokes_are_in_the_log(
    settings: Settings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_REDIS_URL", settings.redis_url)
    monkeypatch.setenv("EASEL_STORE_URL", settings.store_url)
    prefix = CliRunner().invoke(worker_cli, ["keys", "create"]).stdout.split("_")[1]
    CliRunner().invoke(worker_cli, ["keys", "revoke", f"easel_{prefix}"])
    found, _ = services.audit_log.page(limit=9)
    assert [(one.action, one.key, one.caller, one.tenant) for one in found] == [
        (action, prefix, "easel-worker", None) for action in ("key.revoked", "key.created")
    ]
