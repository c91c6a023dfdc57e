"""Traces by OpenTelemetry: one from a submission to its result. The only module that imports `opentelemetry`.

It does so only once `configure_tracing` has found an endpoint in the standard variables `OTEL_*`; until then, all
functions do nothing. Span names and attributes follow OpenTelemetry's semantic conventions; Easel's own attributes
begin with `easel.`. Messages of errors and bodies, headers and queries of requests are in no attribute.
"""

import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import structlog

from easel import __version__

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

log = structlog.get_logger(__name__)

Attributes = Mapping[str, Any]
"""Strings, numbers and booleans. Those that are None are left out."""

JOB_ID: Final = "easel.job.id"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_TRACEPARENT: Final = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_FLUSH_SECONDS: Final = 2.0


class _Phased(Protocol):
    @property
    def phase(self) -> str: ...


Item = TypeVar("Item", bound=_Phased)


class _Tracing:
    provider: "TracerProvider | None" = None  # None: not configured


def configure_tracing(service: str, instance: str | None = None) -> None:
    """Export this process's spans if OTEL_* variables name an exporter. Call it after the fork."""
    exporter = os.environ.get("OTEL_TRACES_EXPORTER", "otlp" if any(map(os.environ.get, _ENDPOINTS)) else "none")
    if exporter == "none" or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter  # noqa: PLC0415 - the same
    except ImportError:
        log.warning("tracing_not_installed", detail="Install deploy/locks/otel.txt, or unset OTEL_*.")
        return
    exporters = {"otlp": OTLPSpanExporter, "console": ConsoleSpanExporter}
    if exporter not in exporters:
        log.warning("tracing_exporter_unknown", exporter=exporter, known=sorted(exporters))
        return
    record_spans(BatchSpanProcessor(exporters[exporter]()), service, instance)


def record_spans(processor: "SpanProcessor", service: str, instance: str | None = None) -> None:
    """Send this process's spans to `processor`, until `stop_tracing`."""
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional

    named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    about = {
        "service.name": None if named else service,
        "service.version": __version__,
        "service.instance.id": instance,
    }
    _Tracing.provider = TracerProvider(resource=Resource.create(_present(about)), shutdown_on_exit=False)
    _Tracing.provider.add_span_processor(processor)


def stop_tracing() -> None:
    """Export what is left, for a short time, and stop."""
    if provider := _Tracing.provider:
        _Tracing.provider = None
        thread = threading.Thread(target=provider.shutdown, name="stop-tracing", daemon=True)
        thread.start()
        thread.join(_FLUSH_SECONDS)  # an endpoint that hangs must not delay a drain


def is_tracing() -> bool:
    """Return whether spans are recorded."""
    return _Tracing.provider is not None


@contextmanager
def span(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: Literal["internal", "server", "consumer"] = "internal",
    traceparent: str | None = None,
    started_at: float | None = None,
) -> Iterator[None]:
    """Record a span of the block, which began at `started_at` (seconds since the epoch) or begins now.

    Its parent is `traceparent` if there is one, else the current span. An error of the block becomes its status.
    """
    if _Tracing.provider is None:
        yield
        return
    from opentelemetry.trace import SpanKind, StatusCode, use_span  # noqa: PLC0415 - optional

    started = _Tracing.provider.get_tracer("easel", __version__).start_span(
        name,
        context=_context(traceparent) if traceparent else None,
        kind=SpanKind[kind.upper()],
        attributes=_present(attributes or {}),
        start_time=_nanoseconds(started_at),
    )
    with use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except Exception as error:
            started.set_attribute("error.type", type(error).__qualname__)
            started.set_status(StatusCode.ERROR)
            raise


def annotate(attributes: Attributes, *, error: str | None = None) -> None:
    """Add attributes to the current span; with `error`, its type, the span's status is an error."""
    if _Tracing.provider is None:
        return
    from opentelemetry.trace import StatusCode, get_current_span  # noqa: PLC0415 - optional

    current = get_current_span()
    current.set_attributes(_present({**attributes, "error.type": error}))
    if error:
        current.set_status(StatusCode.ERROR)


def trace_phases(name: str, items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items, and record a span for each of their phases, which begins when the phase before has ended."""
    return iter(_trace_phases(name, items)) if _Tracing.provider else items


def _trace_phases(name: str, items: Iterator[Item]) -> Iterator[Item]:
    from opentelemetry.context import get_current  # noqa: PLC0415 - optional

    parent, phase, started_at, ended_at = get_current(), "", time.time(), time.time()

    def record() -> None:
        if _Tracing.provider and phase:
            tracer = _Tracing.provider.get_tracer("easel", __version__)
            attributes = {"easel.stage.name": phase}
            recorded = tracer.start_span(name, parent, attributes=attributes, start_time=_nanoseconds(started_at))
            recorded.end(_nanoseconds(ended_at))

    try:
        for item in items:
            if item.phase != phase:
                record()
                phase, started_at = item.phase, ended_at
            ended_at = time.time()
            yield item
    finally:
        record()


def valid_traceparent(text: str) -> str | None:
    """Return a traceparent of W3C Trace Context, version 00; None if it is not valid, which the standard ignores."""
    return text if _TRACEPARENT.fullmatch(text) else None


def current_traceparent() -> str | None:
    """Return the current span as a traceparent; None without one."""
    if _Tracing.provider is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - optional

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _context(traceparent: str) -> Any:
    from opentelemetry.context import Context  # noqa: PLC0415 - optional
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - optional

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())


def _present(attributes: Attributes) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value is not None}


def _nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e9)
