"""When spans are exported, and when tracing costs nothing."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.requirements import ROOT

from shared.tracing import configure_tracing, is_tracing, trace_phases

TRACED_BLOCK = """
import sys

import {imported}
from shared.tracing import annotate, configure_tracing, current_traceparent, span, stop_tracing

before = set(sys.modules)
configure_tracing("easel-test")
with span("claim", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
    annotate({{"easel.job.step": 1}})
    current = current_traceparent()
stop_tracing()
"""
WITHOUT_TRACING = f"""
{TRACED_BLOCK.format(imported="api.app, worker.celery_app")}
assert current is None
assert set(sys.modules) == before, set(sys.modules) - before
"""
NOT_INSTALLED = f"""
import sys
sys.modules["opentelemetry"] = None
{WITHOUT_TRACING}
"""


def run_python(program: str, **variables: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("exporter", [{}, {"OTEL_TRACES_EXPORTER": "none"}, {"OTEL_SDK_DISABLED": "true"}])
def test_without_an_exporter_nothing_is_imported(exporter: dict[str, str]) -> None:
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"} if exporter else {}
    run_python(WITHOUT_TRACING, OTEL_SERVICE_NAME="easel", **endpoint, **exporter)


def test_the_packages_are_optional() -> None:
    run_python(NOT_INSTALLED)


@pytest.mark.parametrize(
    ("missing", "exporter", "event"),
    [
        ("opentelemetry.sdk.trace.export", "otlp", "tracing_not_installed"),
        ("none", "zipkin", "tracing_exporter_unknown"),
    ],
)
def test_what_keeps_spans_from_being_exported_is_logged(
    monkeypatch: pytest.MonkeyPatch, missing: str, exporter: str, event: str
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", exporter)
    with capture_logs() as lines:
        configure_tracing("easel-test")
    assert ([line["event"] for line in lines], is_tracing()) == ([event], False)


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({}, "easel-test"),
        ({"OTEL_SERVICE_NAME": "mine"}, "mine"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=mine"}, "mine"),
    ],
)
def test_spans_are_written_to_the_console_with_the_name_of_the_service(variables: dict[str, str], name: str) -> None:
    output = run_python(TRACED_BLOCK.format(imported="json"), OTEL_TRACES_EXPORTER="console", **variables)
    span: dict[str, Any] = json.loads(output)
    assert (span["name"], span["attributes"]) == ("claim", {"easel.job.step": 1})
    assert (span["context"]["trace_id"], span["parent_id"]) == (
        "0x0af7651916cd43dd8448eb211c80319c",
        "0xb7ad6b7169203331",
    )
    assert span["resource"]["attributes"]["service.name"] == name


def test_items_pass_unchanged_without_tracing() -> None:
    items: Any = iter(())
    assert trace_phases("run stage", items) is items
