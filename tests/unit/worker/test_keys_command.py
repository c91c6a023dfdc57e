"""`easel-worker keys`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from shared.tenants.keys import SCOPES, parse_key
from worker.cli import app


@pytest.fixture(autouse=True)
def _store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_STORE_URL", (tmp_path / "blobs").as_uri())
    monkeypatch.setenv("EASEL_REDIS_URL", "redis://127.0.0.1:1/0")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments])


def test_a_created_key_is_printed_alone_for_scripts_and_listed_without_its_secret() -> None:
    created = run("create", "--tenant", "acme", "--name", "shop", "--scope", "read", "--scope", "metrics")
    key = parse_key(created.stdout.strip())
    assert key
    assert "acme" in created.stderr
    assert "the audit log does not have this" in created.stderr
    listed = run("list").stdout
    assert all(word in listed for word in (key.prefix, "acme", "shop", "read, metrics", "active"))
    assert key.secret not in listed + run("list", "--json").stdout


def test_a_revoked_key_stays_in_the_list() -> None:
    created = json.loads(run("create", "--tenant", "acme", "--expires-days", "1", "--json").stdout)
    run("create")
    assert created["expires_at"]
    assert run("revoke", created["prefix"]).exit_code == 0
    (listed,) = json.loads(run("list", "--tenant", "acme", "--json").stdout)
    assert listed["revoked_at"]
    assert "revoked" in run("list").stdout


def test_an_invalid_tenant_or_scope_is_named() -> None:
    for arguments, name in ((("--tenant", "A"), "tenant"), (("--scope", "all"), "scopes")):
        refused = run("create", *arguments)
        assert refused.exit_code == 2
        assert f"{name}: must" in refused.stderr
    assert json.loads(run("list", "--json").stdout) == []


@pytest.mark.parametrize("days", ["0", "-1", "nan", "inf", "1e9"])
def test_days_after_which_a_key_would_be_no_key_are_refused(days: str) -> None:
    refused = run("create", "--expires-days", days)
    assert (refused.exit_code, "--expires-days" in refused.stderr) == (2, True)
    assert json.loads(run("list", "--json").stdout) == []


def test_in_a_pipe_each_key_is_one_line_with_its_name_as_it_is() -> None:
    scopes = [argument for scope in SCOPES for argument in ("--scope", scope)]
    run("create", "--name", f"[bold] {'x' * 80}", *scopes)
    (_, line) = run("list").stdout.splitlines()
    assert f"[bold] {'x' * 80}" in line
    assert ", ".join(SCOPES) in line
