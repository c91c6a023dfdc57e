"""The files in deploy/prometheus are valid, and each alert has a test and an entry in the runbook."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.prometheus import FOLDER, command, dashboard, dashboard_queries, short_rules
from support.requirements import ROOT

from deploy.local.stack import Stack, StackConfig

(GROUP,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    done = subprocess.run([command("promtool"), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_alerts_are_valid() -> None:
    assert f"{len(ALERTS)} rules found" in promtool("check", "rules", "alerts.yml")


def test_each_alert_fires_when_it_should_and_none_while_all_is_well() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")
    assert set(re.findall(r"Easel[A-Z]\w+", (FOLDER / "alerts_test.yml").read_text())) >= ALERTS.keys()


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(FOLDER / name, tmp_path)
    (tmp_path / "easel_api_key").write_text("key")
    assert "valid prometheus config file" in promtool("check", "config", "prometheus.yml", folder=tmp_path)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS.keys())
def test_each_alert_has_a_severity_a_summary_and_an_entry_in_the_runbook(alert: dict[str, Any]) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["runbook_url"] == f"docs/how-to/runbook.md#{alert['alert'].lower()}"


def test_the_runbook_has_an_entry_for_each_alert_and_no_other() -> None:
    entries = re.split(r"^## ", (ROOT / "docs/how-to/runbook.md").read_text(), flags=re.MULTILINE)[1:]
    assert [entry.split()[0] for entry in entries] == [*ALERTS]
    for entry in entries:
        assert "**Meaning.**" in entry
        assert "**Look.**" in entry
        assert re.search(r"^\| .* \| fix \|$", entry, re.MULTILINE)


def test_the_page_about_monitoring_lists_the_alerts_and_says_which_are_tested_without_the_stack() -> None:
    page = (ROOT / "docs/how-to/monitoring.md").read_text()
    listed = re.findall(r"^\| \[(Easel\w+)\]\(\S+\) \| (\w+) \|", page, re.MULTILINE)
    assert listed == [(name, alert["labels"]["severity"]) for name, alert in ALERTS.items()]
    fired = set(re.findall(r'"(Easel\w+)"', (ROOT / "tests/integration/monitoring/test_monitoring.py").read_text()))
    (untested,) = re.findall(r"All but (.+?) are also tested", page)
    assert set(re.split(", | and ", untested)) == ALERTS.keys() - fired


def test_alerts_and_dashboard_name_documented_metrics_only() -> None:
    reference = (ROOT / "docs/reference/metrics.md").read_text()
    documented = {(name, kind) for name, kind in re.findall(r"^\| `(\w+)` \| (\w+)", reference, re.MULTILINE)}
    series = {name for name, kind in documented if kind != "histogram"}
    series |= {
        f"{name}_{end}" for name, kind in documented if kind == "histogram" for end in ("bucket", "sum", "count")
    }
    expressions = [rule["expr"] for rule in ALERTS.values()] + dashboard_queries()
    assert set(re.findall(r"easel_\w+", " ".join(expressions))) <= series


def test_each_chart_has_a_title_a_description_and_a_place_of_its_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    assert all(panel["description"] for panel in panels if panel["type"] != "row")
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (variable,) = dashboard()["templating"]["list"]
    assert (source["uid"], source["type"]) == (variable["current"]["value"], variable["query"])
    (provider,) = yaml.safe_load((folder / "dashboards/easel.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"


def test_short_rules_differ_in_times_only() -> None:
    numbers = re.compile(r"> \d+\b|for: \w+|\[\w+\]")
    assert numbers.sub("", short_rules()) == numbers.sub("", (FOLDER / "alerts.yml").read_text())
    assert "m]" not in short_rules()


@pytest.mark.parametrize(("first", "ports"), [("9101", [9101, 9102, 9103]), ("", [0, 0, 0])])
def test_make_up_gives_the_reaper_and_each_worker_a_port_of_its_own(
    first: str, ports: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_METRICS_PORT", first)
    stack = Stack(StackConfig(tmp_path, tmp_path, port=8080, workers=2), tmp_path)
    assert [stack._metrics_port(number) for number in range(3)] == ports
