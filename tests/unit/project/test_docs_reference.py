"""The reference covers every setting, error, event, metric and endpoint, and is current."""

import re
import subprocess
import sys
from typing import get_args

import pytest
from support.requirements import ROOT

from api.http.openapi import error_classes
from easel.events import JobEvent, QueueEvent
from easel.models import JobStatus
from shared.jobs.job import WebhookEvent
from shared.presets import PRESETS
from shared.recipe import Recipe
from shared.settings import Settings

REFERENCE = ROOT / "docs/reference"


def first_cells(page: str) -> set[str]:
    """Return the names in the first column of every table of a page."""
    return set(re.findall(r"^\| `([^`]+)`", (REFERENCE / page).read_text(), re.MULTILINE))


def headings(page: str) -> set[str]:
    return set(re.findall(r"^#+ `?(.+?)`?$", (REFERENCE / page).read_text(), re.MULTILINE))


def test_the_generated_pages_are_current() -> None:
    command = [sys.executable, REFERENCE / "generate.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, f"{checked.stdout}{checked.stderr}Run .venv/bin/python docs/reference/generate.py"


def test_every_setting_is_in_the_reference() -> None:
    assert first_cells("settings.md") == {f"EASEL_{name.upper()}" for name in Settings.model_fields}


def test_every_error_code_is_in_the_reference() -> None:
    assert first_cells("errors.md") == {kind.code for kind in error_classes()}


@pytest.mark.parametrize("page", ["settings.md", "errors.md", "metrics.md", "recipe.md", "command-line.md"])
def test_every_row_has_a_meaning(page: str) -> None:
    tables = (REFERENCE / page).read_text().partition("## Presets")[0]
    assert not re.findall(r"^\|.*\|\s*\|$", tables, re.MULTILINE)


def test_every_event_is_in_the_reference() -> None:
    kinds = {
        get_args(event.model_fields["kind"].annotation)[0]
        for event in (*event_types(JobEvent), *event_types(QueueEvent))
    }
    assert kinds - {"unknown"} == headings("events.md") - {"Events", "Webhook events"}
    assert all(f"`{event}`" in (REFERENCE / "events.md").read_text() for event in get_args(WebhookEvent))


def test_every_metric_is_in_the_reference() -> None:
    folders = (ROOT / name for name in ("api", "shared", "worker"))
    sources = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    defined = re.compile(r'\b(?:Counter|Gauge|Histogram|ScrapedGauge)\(\s*"(\w+)"')
    metrics = {name for source in sources for name in defined.findall(source)}
    assert metrics == {name for name in first_cells("metrics.md") if not name.startswith("process_")}


def test_names_of_metrics_follow_the_rules_of_prometheus() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+)", (REFERENCE / "metrics.md").read_text(), re.MULTILINE)
    counters = {name for name, kind in rows if kind == "counter"}
    assert counters == {name for name, _ in rows if name.endswith("_total")}
    assert all(re.search(r"_(seconds|bytes)$", name) for name, kind in rows if kind == "histogram")


def test_every_recipe_parameter_and_preset_is_in_the_reference() -> None:
    assert set(Recipe.model_fields) <= first_cells("recipe.md")
    assert all(f"`{preset}`" in (REFERENCE / "recipe.md").read_text() for preset in PRESETS)


@pytest.mark.parametrize("word", ["POST /v1/jobs", "GET /metrics", "GET /healthz", "GET /readyz", JobStatus.__name__])
def test_the_http_api_is_in_the_reference(word: str) -> None:
    assert word in headings("http-api.md")


def event_types(union: object) -> list[type]:
    """Return the classes of a union of events, however deeply it is annotated."""
    if isinstance(union, type):
        return [union] if "kind" in getattr(union, "model_fields", {}) else []
    return [event for part in get_args(union) for event in event_types(part)]
