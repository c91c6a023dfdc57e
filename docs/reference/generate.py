"""Write the reference pages that come from the code: `.venv/bin/python docs/reference/generate.py`.

The pages are committed, so that they can be read without a build. With --check, outdated pages are listed instead.
"""

import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Final, get_args, get_origin

from command_line import command_line
from flask import Flask
from http_api import http_api
from markdown import code, literal, page, paragraph, table, values
from pydantic import BaseModel

from api.app import create_app
from api.http.openapi import document, error_classes
from api.routes import metrics as api_metrics
from easel import events
from shared.errors import JobFailure
from shared.jobs.job import WebhookEvent
from shared.metrics import jobs as job_metrics
from shared.metrics import services as service_metrics
from shared.metrics.instruments import PROCESS, Instrument
from shared.presets import PRESETS
from shared.recipe import LBFGS, Adam, Recipe, Stage
from shared.services import open_services
from shared.settings import Settings
from worker import metrics as worker_metrics
from worker.maintenance import metrics as reaper_metrics

FOLDER: Final = Path(__file__).parent


def pages() -> dict[str, str]:
    """Return every generated page by file name."""
    return {
        "settings.md": _settings(),
        "recipe.md": _recipe(),
        "errors.md": _errors(),
        "events.md": _events(),
        "metrics.md": _metrics(),
        "http-api.md": http_api(document(_app())),
        "command-line.md": command_line(),
    }


def _app() -> Flask:
    """Build the API without a Redis behind it."""
    settings = Settings(store_url="memory:")
    app: Flask = create_app(settings, open_services(settings))
    return app


def _fields(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()["properties"]
    rows = [
        (code(name), values(schema[name]), "required" if field.is_required() else literal(field.default), _text(field))
        for name, field in model.model_fields.items()
    ]
    return table(("field", "values", "default", "meaning"), rows)


def _text(field: Any) -> str:
    return " ".join((field.description or "").split())


def _settings() -> str:
    schema = Settings.model_json_schema()["properties"]
    rows = [
        (code(f"EASEL_{name.upper()}"), values(schema[name]), literal(schema[name].get("default")), _text(field))
        for name, field in Settings.model_fields.items()
    ]
    return page(
        "Settings",
        "Every process reads its settings from environment variables, once, when it starts. They are defined in "
        "`shared/settings.py`. Times are in seconds and sizes in bytes unless the name says otherwise. Lists are "
        "separated by commas.",
        table(("variable", "values", "default", "meaning"), rows),
        "The `easel` command and the Python client read two more variables: `EASEL_URL` (default "
        "`http://127.0.0.1:8080`) and `EASEL_API_KEY`. S3 credentials come from `AWS_ACCESS_KEY_ID` and "
        "`AWS_SECRET_ACCESS_KEY`.",
    )


def _recipe() -> str:
    base = Recipe().model_dump()
    presets = {name: preset.model_dump() for name, preset in PRESETS.items()}
    changed = [name for name in base if any(preset[name] != base[name] for preset in presets.values())]
    rows = [(code(name), *(literal(preset[name]) for preset in presets.values())) for name in changed]
    return page(
        "Recipe parameters",
        "A recipe is a preset plus the fields that should differ from it, for example "
        '`{"preset": "default", "size": 768, "style_weight": 30}`. Unknown fields are refused. `GET /v1/recipes` '
        "returns the presets and the JSON Schema of all fields. The code is in `shared/recipe.py` and "
        "`shared/presets.py`.",
        _fields(Recipe),
        *(f"## {model.__name__}\n\n{inspect.getdoc(model)}\n\n{_fields(model)}" for model in (Adam, LBFGS, Stage)),
        "## Presets\n\nFields in which a preset differs from the defaults above.",
        table(("field", *map(code, presets)), rows),
    )


def _errors() -> str:
    responses, failures = [], []
    for kind in error_classes():
        meaning = paragraph(kind.__doc__)
        if issubclass(kind, JobFailure):
            failures.append((code(kind.code), meaning))
        else:
            responses.append((code(kind.code), str(kind.status), "yes" if kind.retryable else "no", meaning))
    return page(
        "Error codes",
        "Errors are `application/problem+json` ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)). `code` is stable; "
        "`detail` is for people and names the fix. `retryable` means that the same request may succeed later. The "
        "classes are in `shared/errors.py` and `api/http/download_errors.py`.",
        table(("code", "status", "retryable", "meaning"), responses),
        "## Failed jobs\n\nA failed job has one of these in `error.code`, or one of the codes above.",
        table(("code", "meaning"), failures),
    )


def _events() -> str:
    classes = [value for value in vars(events).values() if inspect.isclass(value) and issubclass(value, BaseModel)]
    kinds = {
        get_args(event.model_fields["kind"].annotation)[0]: event
        for event in classes
        if "kind" in event.model_fields and event is not events.UnknownEvent
    }
    return page(
        "Events",
        "`GET /v1/jobs/{id}/events` and `GET /v1/queue/events` are streams of server-sent events. Each event has a "
        "kind (the field `event`) and JSON `data`. Stored events have an `id`: a client that reconnects with "
        "`Last-Event-ID` misses none of them. The classes are in `easel/events.py`.",
        *(f"## {kind}\n\n{inspect.getdoc(event)}\n\n{_data(event)}" for kind, event in kinds.items()),
        "## Webhook events",
        "A webhook receives these; see [Receive webhooks](../how-to/webhooks.md).",
        "\n".join(f"- {code(name)}" for name in get_args(WebhookEvent)),
    )


def _data(event: type[BaseModel]) -> str:
    data: Any = event.model_fields["data"].annotation
    rows = [
        (code(name), _type(field.annotation), "yes" if field.is_required() else "no", _text(field))
        for name, field in data.model_fields.items()
    ]
    return table(("field of `data`", "type", "always", "meaning"), rows)


def _type(annotation: Any) -> str:
    """Return the name of a field's type in the words of JSON."""
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if choices := [part for part in get_args(annotation) if part is not type(None)]:
        return ", ".join(_type(part) if isinstance(part, type) or get_args(part) else literal(part) for part in choices)
    names = {"str": "string", "int": "integer", "float": "number", "bool": "boolean", "datetime": "date-time"}
    name = annotation.__name__
    return names.get(name, f"[{name}](http-api.md#{name.lower()})")


def _metrics() -> str:
    process = [
        (code(metric.name + ("_total" if metric.type == "counter" else "")), metric.type, "", metric.documentation)
        for metric in PROCESS.collect()
    ]
    return page(
        "Metrics",
        "In Prometheus' text format. The API serves them at `GET /metrics`; workers and the reaper at `/metrics` of "
        "`EASEL_METRICS_PORT`, if that is set. Counters and histograms are those of one process; add them up. "
        "[Monitor the service](../how-to/monitoring.md) has the configuration of Prometheus, alerts and a dashboard.",
        "## Of API, workers and the reaper",
        _instruments(service_metrics, job_metrics),
        "## Of the API",
        "All but the HTTP metrics are read from Redis at each scrape, so every API process reports the same values: "
        "take the largest, do not add them up. When Redis does not respond, only `easel_ledger_up` (0), HTTP and disk "
        "remain.",
        _instruments(api_metrics),
        "## Of workers",
        "What the child process of a worker counted outlives it. Gauges of GPUs need NVIDIA's driver.",
        _instruments(worker_metrics),
        "## Of the reaper",
        _instruments(reaper_metrics),
        "## Of every process",
        "For a worker, these are of its parent process.",
        table(("metric", "type", "labels", "meaning"), process),
    )


def _instruments(*modules: ModuleType) -> str:
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Instrument)]
    rows = [(code(each.name), each.kind, ", ".join(map(code, each.labels)), each.documentation) for each in found]
    return table(("metric", "type", "labels", "meaning"), rows)


def main() -> int:
    """Write the pages; with --check only list those that are out of date, and return 1 when there are any."""
    stale = [name for name, text in pages().items() if not _is_current(FOLDER / name, text)]
    if "--check" in sys.argv:
        sys.stdout.writelines(f"{name} is out of date\n" for name in stale)
        return min(len(stale), 1)
    for name in stale:
        (FOLDER / name).write_text(pages()[name])
    return 0


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
