"""The secret that signs the webhooks of a tenant."""

from collections.abc import Mapping

import pytest
from flask.testing import FlaskClient
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError
from support.fixtures.tenants import MakeClient
from support.fixtures.webhooks import SECRETS, deliver_next, submit_job
from support.scripted_server import ScriptedServer
from typer.testing import CliRunner

from api.app import create_app
from shared.services import Services
from shared.settings import Settings
from shared.tenants.webhook_secrets import webhook_secrets
from worker.cli import app as worker_app
from worker.webhooks.sender import WebhookSender


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
    secrets = {tenant: webhook_secrets(settings, tenant) for tenant in ("acme", "beta", "default")}
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
    for secret in (*SECRETS, *webhook_secrets(settings, "default")):
        assert verifies(secret, body, headers)
    assert not verifies(webhook_secrets(settings, "acme")[0], body, headers)


def test_a_tenant_gets_its_secrets_with_a_key_that_may_submit_jobs(
    make_client: MakeClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = make_client("acme", "jobs")[0].get("/v1/tenant/webhook_secrets")
    assert shown.get_json() == {"secrets": webhook_secrets(settings, "acme")}
    assert make_client("acme", "read", "metrics")[0].get("/v1/tenant/webhook_secrets").status_code == 403
    monkeypatch.setenv("EASEL_WEBHOOK_SECRET", ",".join(SECRETS))
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


def test_a_tenants_secret_does_not_change(settings: Settings) -> None:
    """Receivers keep it: another derivation would make them refuse all webhooks."""
    assert webhook_secrets(settings, "acme")[0] == "whsec_D6R1Oe31R8NDevNAEXv20ZKqkrbVe/yf4+Cu+6RXOSM="
