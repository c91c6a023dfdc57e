"""The delivery log of a job's webhook."""

from flask import Blueprint, Response

from api.context import Context, parse_job_id
from api.http.operations import ResponseDoc, operation
from api.http.serializers import json_response
from easel.models import Deliveries, Delivery

routes = Blueprint("webhooks", __name__)


@routes.get("/v1/jobs/<job_id>/deliveries")
@operation(ResponseDoc(200, "The delivery attempts.", Deliveries))
def get_deliveries(job_id: str) -> Response:
    """List the delivery attempts of a job's webhook, oldest first."""
    services = Context.current().services
    job = services.ledger.get(parse_job_id(job_id))
    records = services.outbox.deliveries(job.id)
    return json_response(Deliveries(deliveries=[Delivery.model_validate(record.model_dump()) for record in records]))
