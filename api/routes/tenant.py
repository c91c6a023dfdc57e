"""The tenant of the key: what it may use, what it uses now, and the secrets of its webhooks."""

from flask import Blueprint, Response, g
from pydantic import BaseModel, Field

from api.context import Context
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import json_response
from api.routes.audit import audit
from easel.models import JobState
from shared.errors import WebhooksDisabled
from shared.tenants.quotas import Quotas
from shared.tenants.webhook_secrets import rotate_webhook_secret, webhook_secrets

routes = Blueprint("tenant", __name__)


class TenantUse(BaseModel):
    """What a tenant uses of its quotas."""

    queued_jobs: int = Field(description="Queued jobs.")
    running_jobs: int = Field(description="Running jobs.")
    pixel_evaluations_today: int = Field(description="Pixel evaluations of the jobs submitted today (UTC).")
    stored_bytes: int | None = Field(
        description="Bytes of uploaded images and jobs, as of the last measurement and with what clients stored and "
        "deleted since; null without a quota."
    )


class Tenant(BaseModel):
    """A tenant."""

    name: str = Field(description="The tenant of the key.")
    quotas: Quotas = Field(description="What it may use; 0 is no limit.")
    use: TenantUse = Field(description="What it uses now.")


class RotationQuery(Query):
    """How long the earlier secrets stay valid."""

    previous_hours: float = Field(
        default=24,
        ge=0,
        le=168,
        description="Hours for which the last four earlier secrets sign too; 0 if one of them leaked.",
    )


class WebhookSecrets(BaseModel):
    """The secrets of a tenant's webhooks."""

    secrets: list[str] = Field(
        description="Each signs every webhook of the tenant. Several during a rotation: keep the last one.",
        examples=[["whsec_Kpm5wG0oX2ZqmQ8vPZ0oXyq3r4l9wXbC2n1vYk7dTqA="]],
    )


@routes.get("/v1/tenant")
@operation(ResponseDoc(200, "The tenant.", Tenant))
def get_tenant() -> Response:
    """Get the quotas of the key's tenant, and what it uses of them."""
    context, name = Context.current(), g.caller.tenant
    services, quotas = context.services, context.quotas.get(name)
    stats = services.queue_stats
    use = TenantUse(
        queued_jobs=stats.count(JobState.QUEUED, name),
        running_jobs=stats.count(JobState.RUNNING, name),
        pixel_evaluations_today=stats.pixel_evaluations_today(name),
        stored_bytes=services.stored_bytes.get(name) if quotas.stored_bytes else None,
    )
    return json_response(Tenant(name=name, quotas=quotas, use=use))


@routes.get("/v1/tenant/webhook_secrets")
@operation(
    ResponseDoc(200, "The secrets.", WebhookSecrets),
    errors=(WebhooksDisabled,),
    scope="jobs",
)
def get_webhook_secrets() -> Response:
    """Get the secrets that receivers of the tenant's webhooks verify signatures with (Standard Webhooks)."""
    return _secrets_response()


@routes.post("/v1/tenant/webhook_secrets")
@operation(
    ResponseDoc(201, "The secrets; the last one is new.", WebhookSecrets),
    query=RotationQuery,
    errors=(WebhooksDisabled,),
)
def rotate_webhook_secrets(query: RotationQuery) -> Response:
    """Create a new secret of the tenant's webhooks. Earlier ones sign for `previous_hours` more, so that none fails."""
    context = Context.current()
    if not context.settings.webhook_secret:
        raise WebhooksDisabled
    rotate_webhook_secret(context.services.blobs, g.caller.tenant, query.previous_hours * 3600)
    audit("webhook_secret.rotated")
    return _secrets_response(201)


def _secrets_response(status: int = 200) -> Response:
    context = Context.current()
    if not (secrets := webhook_secrets(context.settings, context.services.blobs, g.caller.tenant)):
        raise WebhooksDisabled
    return json_response(WebhookSecrets(secrets=secrets), status)
