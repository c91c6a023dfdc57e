"""Events of real streams, compared with the schemas in the OpenAPI document."""

from typing import Any

from jsonschema import Draft202012Validator
from support.fixtures.api import Server, add_preview, claim, report_progress, succeed, worker_info
from support.stream_client import submit_to, watch

from shared.services import Services


def test_both_streams_conform_to_the_schemas_in_the_openapi_document(server: Server, services: Services) -> None:
    document = server.http.get("/openapi.json").json()
    job_id = submit_to(server)
    services.queue_stats.register_worker(worker_info())
    services.ledger.renew(claim(services), lease_seconds=-1)
    services.ledger.reap_expired_leases()
    claimed = claim(services)
    report_progress(services, claimed, 1)
    add_preview(services, claimed, 1)
    services.ledger.renew(claimed, lease_seconds=30)  # so it seems to have been renewed 30 seconds ago
    with watch(server, "/v1/queue/events") as stream:
        assert_conforms(stream.next(), document, "/v1/queue/events")
    with watch(server, f"/v1/jobs/{job_id}/events", estimates=True) as stream:
        for kind in ("worker_silent", "estimate"):
            computed = next(event for event in iter(stream.next, {}) if event["event"] == kind)
            assert_conforms(computed, document, "/v1/jobs/{job_id}/events")
    warning = {"code": "step_halved", "detail": "The loss was not finite."}
    services.ledger.renew(claimed, lease_seconds=60, event=("warning", warning))
    for action in ("finish", "cancel"):
        assert server.http.post(f"/v1/jobs/{job_id}/{action}").status_code == 202
    services.ledger.renew(claimed, lease_seconds=60, event=("acknowledged", {"request": "finish", "step": 1}))
    succeed(services, claimed)
    with watch(server, f"/v1/jobs/{job_id}/events") as stream:
        history = stream.rest()
    assert {event["event"] for event in history} == {
        *("state", "progress", "preview", "warning", "lease_lost"),
        *("cancel_requested", "finish_requested", "acknowledged"),
    }
    for event in history:
        assert_conforms(event, document, "/v1/jobs/{job_id}/events")


def assert_conforms(event: dict[str, Any], document: dict[str, Any], path: str) -> None:
    responses = document["paths"][path]["get"]["responses"]
    schema = responses["200"]["content"]["text/event-stream"]["schema"]
    instance = {"id": event.get("id", ""), "kind": event["event"], "data": event["data"]}
    Draft202012Validator({**schema, "components": document["components"]}).validate(instance)
