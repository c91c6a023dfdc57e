"""The delivery log of a job's webhook."""

from flask import Blueprint, Response

from api.context import Context
from api.http.operations import ResponseDoc, operation
from api.http.own_jobs import find_job
from api.http.serializers import json_response
from easel.models import Deliveries, Delivery

routes = Blueprint("webhooks", __name__)


@routes.get("/v1/jobs/<job_id>/deliveries")
@operation(ResponseDoc(200, "The delivery attempts.", Deliveries))
def get_deliveries(job_id: str) -> Response:
    """List the delivery attempts of a job's webhook, oldest first."""
    records = Context.current().services.outbox.deliveries(find_job(job_id).id)
    return json_response(Deliveries(deliveries=[Delivery.model_validate(record.model_dump()) for record in records]))
