"""What the tenant of the key may use, and what it uses now."""

from flask import Blueprint, Response, g
from pydantic import BaseModel, Field

from api.context import Context
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from easel.models import JobState
from shared.tenants.quotas import Quotas

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
        stored_bytes=services.stored_bytes.all().get(name, 0) if quotas.stored_bytes else None,
    )
    return json_response(Tenant(name=name, quotas=quotas, use=use))
