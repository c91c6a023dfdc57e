"""How the tries to tell a job's webhook went."""

from datetime import datetime

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from api.context import here, valid_id
from api.http.operations import Answer, operation
from api.http.serializers import answer

routes = Blueprint("webhooks", __name__)


class DeliveryView(BaseModel):
    """One try to send one event."""

    id: str = Field(description="Of the event, as in the header `webhook-id`: the same at every try.")
    event: str
    attempt: int
    at: datetime
    status: int | None = Field(description="That the receiver answered; null where it gave no answer.")
    error: str | None
    next_attempt_at: datetime | None = Field(description="Null where it is not tried again.")
    delivered: bool


class DeliveryList(BaseModel):
    """All of them."""

    deliveries: list[DeliveryView] = Field(description="Oldest first.")


@routes.get("/v1/jobs/<job_id>/deliveries")
@operation(Answer(200, "The tries.", DeliveryList))
def get_deliveries(job_id: str) -> Response:
    """See what was sent to a job's webhook, and what it answered."""
    services = here().services
    job = services.ledger.get(valid_id(job_id))
    found = [DeliveryView.model_validate(one.model_dump()) for one in services.outbox.deliveries(job.id)]
    return answer(DeliveryList(deliveries=found))
