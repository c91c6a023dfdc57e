"""The secret that signs the webhooks of a tenant."""

import json
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from support.fixtures.tenants import MakeClient
from support.fixtures.webhooks import SECRETS, deliver_next, submit_job
from support.retention import redis_client
from support.scripted_server import ScriptedServer
from typer.testing import CliRunner

from api.app import create_app
from shared.services import Services
from shared.settings import Settings
from shared.storage import keys
from shared.tenants.webhook_secrets import rotate_webhook_secret, webhook_secrets
from worker.cli import app as worker_app
from worker.webhooks.sender import WebhookSender


@pytest.fixture
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of `easel-worker`."""
    monkeypatch.setenv("EASEL_REDIS_URL", settings.redis_url)
    monkeypatch.setenv("EASEL_STORE_URL", settings.store_url)
    monkeypatch.setenv("EASEL_WEBHOOK_SECRET", ",".join(SECRETS))


def verifies(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Return whether a receiver with this secret accepts the request."""
    try:
        Verifier(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def test_the_webhooks_of_a_tenant_are_signed_with_its_own_secrets_and_no_others(
    settings: Settings, services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    for tenant in ("acme", "beta"):
        submit_job(services, f"{receiver.url}/{tenant}", "job.canceled", tenant=tenant)
    for job in services.ledger.list():
        services.ledger.request_control(job.id, "cancel")
        deliver_next(sender)
    secrets = {tenant: webhook_secrets(settings, services.blobs, tenant) for tenant in ("acme", "beta", "default")}
    assert len(receiver.requests) == 2
    for _, path, headers, body in receiver.requests:
        accepted = {secret for secret in sum(secrets.values(), SECRETS) if verifies(secret, body, headers)}
        assert accepted == set(secrets[path[1:]])


def test_receivers_of_the_default_tenant_may_keep_the_services_secret(
    settings: Settings, services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    services.ledger.request_control(submit_job(services, receiver.url, "job.canceled"), "cancel")
    deliver_next(sender)
    (_, _, headers, body) = receiver.requests[0]
    for secret in (*SECRETS, *webhook_secrets(settings, services.blobs, "default")):
        assert verifies(secret, body, headers)
    assert not verifies(webhook_secrets(settings, services.blobs, "acme")[0], body, headers)


@pytest.mark.usefixtures("environment")
def test_a_tenant_gets_its_secrets_with_a_key_that_may_submit_jobs(
    make_client: MakeClient, settings: Settings, services: Services
) -> None:
    shown = make_client("acme", "jobs")[0].get("/v1/tenant/webhook_secrets")
    assert shown.get_json() == {"secrets": webhook_secrets(settings, services.blobs, "acme")}
    assert make_client("acme", "read", "metrics")[0].get("/v1/tenant/webhook_secrets").status_code == 403
    printed = CliRunner().invoke(worker_app, ["keys", "webhook-secret", "--tenant", "acme"]).stdout
    assert printed.split() == shown.get_json()["secrets"]


def test_the_api_never_shows_the_services_secret(client: FlaskClient) -> None:
    shown = client.get("/v1/tenant/webhook_secrets").get_json()["secrets"]
    assert len(shown) == len(SECRETS)
    assert not set(shown) & set(SECRETS)


def test_without_a_secret_there_is_none_to_show(
    settings: Settings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    disabled = create_app(settings.model_copy(update={"webhook_secret": ()}), services).test_client()
    refused = disabled.get("/v1/tenant/webhook_secrets")
    assert refused.get_json()["code"] == "webhooks_disabled"
    monkeypatch.delenv("EASEL_WEBHOOK_SECRET", raising=False)
    assert CliRunner().invoke(worker_app, ["keys", "webhook-secret"]).exit_code != 0


def test_a_tenants_secrets_are_always_derived_in_the_same_way(settings: Settings, services: Services) -> None:
    """Receivers keep them: another derivation would make them refuse all webhooks."""
    one_of_service = settings.model_copy(update={"webhook_secret": settings.webhook_secret[:1]})
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=3600)
    assert webhook_secrets(one_of_service, services.blobs, "acme") == [
        "whsec_D6R1Oe31R8NDevNAEXv20ZKqkrbVe/yf4+Cu+6RXOSM=",
        "whsec_LZN/1nqiue11t+MVJhWjNxqLmHgVurr7OPeayPxHFnI=",
    ]


def accepting(services: Services, sender: WebhookSender, receiver: ScriptedServer, secrets: list[str]) -> list[bool]:
    """Deliver an event of the tenant `acme`; return whether receivers with each of these secrets accept it."""
    job_id = submit_job(services, receiver.url, "job.canceled", tenant="acme")
    services.ledger.request_control(job_id, "cancel")
    deliver_next(sender)
    _, _, headers, body = receiver.requests[-1]
    return [verifies(secret, body, headers) for secret in secrets]


def test_after_a_rotation_both_secrets_sign_until_the_earlier_one_ends(
    settings: Settings, services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    (*_, first) = webhook_secrets(settings, services.blobs, "acme")
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=3600)
    (*_, second) = webhook_secrets(settings, services.blobs, "acme")
    assert accepting(services, sender, receiver, [first, second]) == [True, True]
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=0)
    (*_, third) = webhook_secrets(settings, services.blobs, "acme")
    assert accepting(services, sender, receiver, [first, second, third]) == [False, False, True]


def test_another_rotation_does_not_let_an_earlier_secret_live_longer(services: Services) -> None:
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=60)
    stored = services.blobs.get(keys.webhook_secrets("acme"))
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=3600)
    before, after = (
        json.loads(document)["secrets"] for document in (stored, services.blobs.get(keys.webhook_secrets("acme")))
    )
    assert after[0] == before[0]
    assert [one["number"] for one in after] == [0, 1, 2]


def test_at_most_five_secrets_of_a_tenant_sign(settings: Settings, services: Services) -> None:
    for _ in range(6):
        rotate_webhook_secret(services.blobs, "acme", previous_seconds=3600)
    stored = json.loads(services.blobs.get(keys.webhook_secrets("acme")))["secrets"]
    assert [one["number"] for one in stored] == [2, 3, 4, 5, 6]
    assert len(webhook_secrets(settings, services.blobs, "acme")) == 5 * len(SECRETS)


def test_the_services_secret_no_longer_signs_for_the_default_tenant_once_its_first_secret_ended(
    services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    rotate_webhook_secret(services.blobs, "default", previous_seconds=0)
    services.ledger.request_control(submit_job(services, receiver.url, "job.canceled"), "cancel")
    deliver_next(sender)
    (_, _, headers, body) = receiver.requests[0]
    assert not any(verifies(secret, body, headers) for secret in SECRETS)


def test_a_tenant_rotates_its_own_secret_only(make_client: MakeClient, settings: Settings, services: Services) -> None:
    acme, beta = (webhook_secrets(settings, services.blobs, tenant) for tenant in ("acme", "beta"))
    rotated = make_client("acme", "jobs")[0].post("/v1/tenant/webhook_secrets")
    assert rotated.status_code == 201
    secrets = rotated.get_json()["secrets"]
    assert secrets[: len(acme)] == acme
    assert len(set(secrets)) == len(secrets) == 2 * len(SECRETS)
    assert webhook_secrets(settings, services.blobs, "beta") == beta
    leaked = make_client("acme", "jobs")[0].post("/v1/tenant/webhook_secrets?previous_hours=0").get_json()["secrets"]
    assert not set(leaked) & set(secrets)
    assert make_client("acme", "read")[0].post("/v1/tenant/webhook_secrets").status_code == 403
    actions = [entry.action for entry in services.audit_log.page(limit=10)[0]]
    assert actions == ["webhook_secret.rotated"] * 2


@pytest.mark.usefixtures("environment")
def test_an_operator_rotates_the_secret_of_a_tenant(
    settings: Settings, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["keys", "rotate-webhook-secret", "--tenant", "acme", "--previous-hours", "0"]
    printed = CliRunner().invoke(worker_app, command).stdout
    assert printed.split() == webhook_secrets(settings, services.blobs, "acme")
    assert CliRunner().invoke(worker_app, [*command[:3], "../acme"]).exit_code != 0
    monkeypatch.delenv("EASEL_WEBHOOK_SECRET")
    assert CliRunner().invoke(worker_app, command).exit_code != 0
    (entry,) = services.audit_log.page(limit=10)[0]
    assert (entry.action, entry.caller, entry.tenant) == ("webhook_secret.rotated", "easel-worker", "acme")


@pytest.mark.usefixtures("environment")
def test_while_the_disk_of_the_store_is_not_mounted_no_attempt_is_made_and_no_ended_secret_is_used(
    settings: Settings, services: Services, sender: WebhookSender, receiver: ScriptedServer
) -> None:
    rotate_webhook_secret(services.blobs, "acme", previous_seconds=0)
    (*_, second) = webhook_secrets(settings, services.blobs, "acme")
    job_id = submit_job(services, receiver.url, "job.canceled", tenant="acme")
    services.ledger.request_control(job_id, "cancel")
    folder = Path(urlsplit(settings.store_url).path)
    elsewhere = folder.rename(folder.with_name("elsewhere"))
    for _ in range(2):
        deliver_next(sender)
        assert sender.take() is None
        redis_client(services).zadd("easel:outbox", {f"{job_id}-canceled": 0})  # now, not in some seconds
    for command in ("webhook-secret", "rotate-webhook-secret"):
        assert CliRunner().invoke(worker_app, ["keys", command, "--tenant", "acme"]).exit_code != 0
    assert receiver.requests == []
    elsewhere.rename(folder)
    deliver_next(sender)
    (delivery,) = services.outbox.deliveries(job_id)
    assert (delivery.attempt, delivery.delivered) == (1, True)
    ((_, _, headers, body),) = receiver.requests
    assert verifies(second, body, headers)
