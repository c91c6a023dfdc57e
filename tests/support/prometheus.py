"""A real Prometheus that scrapes a monitored stack, with the configuration and the alerts of deploy/prometheus."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml

from deploy.local.stack import free_port
from support.monitored_stack import MonitoredStack
from support.requirements import ROOT, part_missing

FOLDER: Final = ROOT / "deploy/prometheus"
INTERVAL: Final = "500ms"
_SHORT_LIMITS: Final = {"> 1800": "> 1", "> 120": "> 2", "> 300": "> 1"}
"""Of alerts about ages in seconds."""


def command(name: str) -> str:
    """Return the path of `prometheus` or `promtool`."""
    return shutil.which(name) or part_missing(f"{name} is missing: apt-get install prometheus")


def short_rules() -> str:
    """Return the alerts with windows of half a minute, no delays, and ages of seconds instead of minutes."""
    text = (FOLDER / "alerts.yml").read_text()
    text = re.sub(r"\[\d+[mh]\]", "[30s]", re.sub(r"for: \w+", "for: 0s", text))
    for limit, short in _SHORT_LIMITS.items():
        text = text.replace(limit, short)
    return text


def dashboard() -> dict[str, Any]:
    """Return Grafana's dashboard."""
    loaded: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/easel.json").read_text())
    return loaded


def dashboard_queries() -> list[str]:
    """Return the query of every chart in Grafana's dashboard, with a rate over a minute."""
    queries = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", ())]
    return [query.replace("$__rate_interval", "1m") for query in queries]


class Prometheus:
    """One server, whose targets are the processes of a stack."""

    def __init__(self, folder: Path, stack: MonitoredStack) -> None:
        self._stack, self._port = stack, free_port()
        config: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
        config["global"] = {"scrape_interval": INTERVAL, "evaluation_interval": INTERVAL}
        for job in config["scrape_configs"]:
            job.pop("authorization", None)  # a stack without keys serves local clients
            names = [name for discovery in job.pop("dns_sd_configs") for name in discovery["names"]]
            targets = [f"127.0.0.1:{stack.ports[name]}" for name in names if name in stack.ports]
            job["static_configs"] = [{"targets": targets}]
        (folder / "alerts.yml").write_text(short_rules())
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        options = [f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}"]
        with (folder / "prometheus.log").open("w") as log:
            self.process = subprocess.Popen(
                [command("prometheus"), *options, f"--web.listen-address=127.0.0.1:{self._port}"],
                stdout=log,
                stderr=log,
            )

    def query(self, expression: str) -> list[tuple[Mapping[str, str], float]]:
        """Return labels and value of each result. Not NaN, which a query of nothing returns."""
        reply = httpx2.get(f"http://127.0.0.1:{self._port}/api/v1/query", params={"query": expression}, timeout=10)
        assert reply.status_code == 200, f"{expression}: {reply.text}"
        result = reply.json()["data"]["result"]
        return [(each["metric"], float(each["value"][1])) for each in result if each["value"][1] != "NaN"]

    def alerts(self, state: str = "firing") -> set[str]:
        """Return the names of the alerts in this state."""
        return {labels["alertname"] for labels, _ in self.query(f'ALERTS{{alertstate="{state}"}}')}

    def wait_for_result(self, expression: str) -> None:
        self._stack.wait(lambda: bool(self.query(expression)))

    def wait_for_alerts(self, *names: str, meanwhile: Callable[[], object] = bool) -> None:
        """Wait until these fire. `meanwhile` is called again and again: a rate needs counts in several scrapes."""

        def all_fire() -> bool:
            meanwhile()
            return set(names) <= self.alerts()

        self._stack.wait(all_fire)

    def is_ready(self) -> bool:
        with suppress(httpx2.TransportError):
            return httpx2.get(f"http://127.0.0.1:{self._port}/-/ready").is_success
        return False


def running_prometheus(folder: Path, stack: MonitoredStack) -> Iterator[Prometheus]:
    """Run a server that has scraped every process of the stack, for a fixture."""
    server = Prometheus(folder, stack)
    try:
        stack.wait(server.is_ready)
        server.wait_for_result("sum(up) == 3")
        yield server
    finally:
        server.process.kill()
        server.process.wait()
