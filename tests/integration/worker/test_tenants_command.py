"""`easel-worker tenants`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.local.stack import free_port
from shared.ledger.ledger import connect
from shared.tenants.stored_bytes import StoredBytes
from worker.cli import app


@pytest.fixture(autouse=True)
def _environment(tmp_path: Path, valkey_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_REDIS_URL", valkey_url)
    monkeypatch.setenv("EASEL_STORE_URL", (tmp_path / "blobs").as_uri())
    monkeypatch.setenv("EASEL_TENANT_QUEUED_JOBS", "100")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def listed() -> list[dict[str, object]]:
    quotas: list[dict[str, object]] = json.loads(run("tenants", "list", "--json").stdout)
    return quotas


def test_what_is_set_for_a_tenant_replaces_the_settings_defaults() -> None:
    run("keys", "create", "--tenant", "other")
    shown = run("tenants", "set", "acme", "--requests-per-second", "2.5", "--pixel-evaluations-per-day", "5000000")
    assert all(word in shown.stdout for word in ("acme", "2.5", "100", "5,000,000"))
    assert run("tenants", "set", "acme", "--queued-jobs", "0", "--running-jobs", "3").exit_code == 0
    own = {"requests_per_second": 2.5, "queued_jobs": 0, "running_jobs": 3, "pixel_evaluations_per_day": 5_000_000}
    defaults = {"requests_per_second": 0, "queued_jobs": 100, "running_jobs": 0, "pixel_evaluations_per_day": 0}
    own, defaults = ({**quotas, "stored_bytes": 0, "stored_bytes_now": 0} for quotas in (own, defaults))
    assert listed() == [{"tenant": "acme", **own}, {"tenant": "other", **defaults}]
    run("tenants", "set", "acme", "--reset")
    assert listed()[0] == {"tenant": "acme", **defaults}
    assert "no limit" in run("tenants", "list").stdout


def test_an_invalid_tenant_or_quota_is_refused() -> None:
    wrong_rates = (("acme", "--requests-per-second", rate) for rate in ("inf", "nan", "1e300", "-1"))
    for arguments in (("A",), ("acme", "--queued-jobs", "-1"), ("a/b", "--queued-jobs", "1"), *wrong_rates):
        assert run("tenants", "set", *arguments).exit_code == 2
    assert listed() == []


def test_the_list_shows_the_bytes_that_a_tenant_stores_and_a_new_quota_is_measured_soon(valkey_url: str) -> None:
    stored = StoredBytes(connect(valkey_url))
    assert stored.is_due()
    run("tenants", "set", "acme", "--stored-bytes", "1000000")
    assert stored.is_due()
    stored.add("acme", 123_456)
    shown = run("tenants", "list").stdout
    assert "1,000,000" in shown
    assert "123,456" in shown
    assert listed()[0]["stored_bytes_now"] == 123_456


def test_without_redis_quotas_are_listed_without_the_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    run("tenants", "set", "acme", "--queued-jobs", "7")
    monkeypatch.setenv("EASEL_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "7" in run("tenants", "list").stdout
    assert listed()[0]["stored_bytes_now"] is None
