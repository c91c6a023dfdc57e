"""One trace from the request that submits a job to its result, over the API and all claims of workers."""

import json
import threading
from collections.abc import Callable, Sequence

import pytest
from browser.blend_engine import DIVERGING_SEED, BlendEngine
from flask.testing import FlaskClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.fixtures.api import Server, Submit
from support.fixtures.tracing import OtlpReceiver
from support.fixtures.worker import WorkerRig
from support.stream_client import submit_to

from easel.models import JobState
from shared.dispatch import own_queue
from shared.services import Services
from worker.devices.memory import WorkerMemory
from worker.job.run import claim_next_job, run_job
from worker.job.worker_state import WorkerState
from worker.registration import Registration

TRACE, CLIENT_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CLIENT_SPAN}-01"
STAGES = [{"scale": 0.5, "share": 1}, {"scale": 1, "share": 1}]
RECIPE = {"preset": "fast", "init": "content", "size": 128, "steps": 6, "stages": STAGES}


class Worker:
    """A worker in this process."""

    def __init__(self, services: Services) -> None:
        self.services = services
        registration = Registration(services.queue_stats, "one", services.settings.tiers, WorkerMemory("host", 0))
        self.state = WorkerState(BlendEngine(0), "one", registration, services.settings)

    def run_next_job(self, *, drain: bool = False) -> None:
        draining = threading.Event()
        if drain:
            draining.set()
        session = claim_next_job(self.services, self.state, own_queue("one"), draining)
        assert session is not None
        run_job(self.state, session)


def children(spans: Sequence[ReadableSpan], parent: int | None) -> list[ReadableSpan]:
    """Return the spans whose parent has this ID, in the order in which they began."""
    own = [span for span in spans if span.parent and span.parent.span_id == parent]
    return sorted(own, key=lambda span: span.start_time or 0)


def names(spans: Sequence[ReadableSpan]) -> list[str]:
    return [span.name for span in spans]


def test_a_job_that_is_resumed_has_one_trace_from_the_request_to_its_result(
    span_exporter: InMemorySpanExporter, submit: Submit, services: Services
) -> None:
    response = submit(headers={"traceparent": TRACEPARENT}, recipe=json.dumps(RECIPE))
    job_id, worker = response.get_json()["id"], Worker(services)
    worker.run_next_job(drain=True)
    worker.run_next_job()
    assert services.ledger.get(job_id).state is JobState.SUCCEEDED
    spans = span_exporter.get_finished_spans()
    assert {span.context.trace_id for span in spans if span.context} == {int(TRACE, 16)}
    (request,) = children(spans, int(CLIENT_SPAN, 16))
    assert request.name == "POST /v1/jobs"
    assert request.attributes is not None
    assert (request.attributes["easel.job.id"], request.attributes["http.response.status_code"]) == (job_id, 202)
    claims = children(spans, request.context.span_id)
    assert names(claims) == ["claim", "process easel.standard"] * 2
    assert [span.attributes["easel.job.claims"] for span in claims if span.attributes] == [1, 1, 2, 2]
    _, drained, _, resumed = (children(spans, span.context.span_id) for span in claims)
    loads = ["load weights", "load inputs", "load checkpoint"]
    assert names(drained) == [*loads, "run stage", "write checkpoint"]
    assert [name for name in names(resumed) if name != "write preview"] == [*loads, "run stage", "run stage", "publish"]
    stages = [span.attributes["easel.stage.name"] for span in resumed if span.name == "run stage" and span.attributes]
    assert stages == ["64 px", "128 px"]
    assert (drained[-1].attributes or {})["easel.job.step"] == (resumed[2].attributes or {})["easel.job.step"] == 0
    assert (resumed[-1].attributes or {})["easel.job.state"] == "succeeded"
    assert all(span.status.is_unset for span in spans)


def test_a_failure_is_the_status_of_its_span_without_its_message(
    span_exporter: InMemorySpanExporter, submit: Submit, services: Services
) -> None:
    submit(recipe=json.dumps({**RECIPE, "seed": DIVERGING_SEED}))
    Worker(services).run_next_job()
    (failed,) = (span for span in span_exporter.get_finished_spans() if not span.status.is_unset)
    assert failed.attributes is not None
    assert (failed.name, failed.attributes["error.type"], failed.status.is_ok) == ("publish", "diverged", False)
    assert (failed.status.description, failed.events) == (None, ())


@pytest.mark.usefixtures("span_exporter")
def test_a_job_keeps_the_span_of_its_submission(submit: Submit, services: Services) -> None:
    sent, own = (submit(headers=headers).get_json()["id"] for headers in ({"traceparent": TRACEPARENT}, {}))
    kept = services.ledger.get(sent).request.traceparent or ""
    assert (kept.split("-")[1] == TRACE, kept == TRACEPARENT) == (True, False)
    assert services.ledger.get(own).request.traceparent


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (TRACEPARENT, TRACEPARENT),
        (TRACEPARENT.upper(), None),
        (f"00-{'0' * 32}-{CLIENT_SPAN}-01", None),
        (f"ff-{TRACE}-{CLIENT_SPAN}-01", None),
        (f"{TRACEPARENT}\t", None),
        ("", None),
    ],
)
def test_without_tracing_a_job_keeps_a_valid_traceparent(
    submit: Submit, services: Services, sent: str, kept: str | None
) -> None:
    job_id = submit(headers={"traceparent": sent}).get_json()["id"]
    assert services.ledger.get(job_id).request.traceparent == kept


def test_requests_that_change_nothing_have_no_span(span_exporter: InMemorySpanExporter, client: FlaskClient) -> None:
    for path in ("/v1/queue", "/healthz", "/none"):
        client.get(path)
    assert span_exporter.get_finished_spans() == ()


def test_api_and_worker_send_their_spans_to_the_endpoint_in_the_environment(
    sleep_engine_rig: WorkerRig,
    otlp_receiver: OtlpReceiver,
    start_server: Callable[..., Server],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlp_receiver.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")  # so that all that arrives was sent at the end
    rig = sleep_engine_rig
    server = start_server(rig.settings)
    rig.start_worker()
    job_id = submit_to(server)
    rig.done(job_id)
    server.stop()
    rig.workers["one"].terminate()
    received = {}
    while {"POST /v1/jobs", "publish"} - received.keys():
        service, span = otlp_receiver.spans.get(timeout=60)
        received[span.name] = service, span
    (api, request), (worker, publish) = received["POST /v1/jobs"], received["publish"]
    assert (api, worker) == ("easel-api", "easel-worker")
    assert request.trace_id == publish.trace_id


def test_a_worker_starts_while_the_packages_for_tracing_are_imported(sleep_engine_rig: WorkerRig) -> None:
    """Celery would end a child that has not started after four seconds."""
    sleep_engine_rig.command = ("support.blocked_tracing_worker",)
    sleep_engine_rig.start_worker()
    sleep_engine_rig.wait_for_worker(lambda worker: worker.name == "one@test")
