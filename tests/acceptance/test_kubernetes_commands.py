"""Each container of the manifests starts with its command and environment, answers its probes, and stops in time.

Only addresses and paths are replaced: Redis, S3, the port and the writable folders.
"""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families
from support import manifests
from support.fixtures.s3 import S3Server
from support.requirements import ROOT

from deploy.local.stack import free_port

KEY = "a-key-for-keda"
OVERLAY = "gpu"  # all have the same commands and settings
DEPLOYMENTS = ("easel-api", "easel-worker", "easel-reaper")


@dataclass
class Running:
    """A container's process."""

    deployment: str
    spec: dict[str, Any]
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def passes(self, probe: dict[str, Any]) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        seconds = probe.get("timeoutSeconds", 1)
        if "exec" in probe:
            command = probe["exec"]["command"]
            return subprocess.run(command, env=self.environment, timeout=seconds, check=False).returncode == 0
        try:
            return self.get(probe["httpGet"]["path"], timeout=seconds).is_success
        except httpx2.TransportError:
            return False

    def get(self, path: str, variable: str = "EASEL_PORT", **options: Any) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.environment[variable]}{path}", trust_env=False, **options)


@pytest.fixture
def running(tmp_path: Path, valkey_url: str, s3_server: S3Server) -> Iterator[dict[str, Running]]:
    secrets = {
        "easel-storage": {
            "EASEL_REDIS_URL": valkey_url,
            "AWS_ACCESS_KEY_ID": s3_server.access_key,
            "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        },
        "easel-api": {"keys": f"another-key,{KEY}", "metrics-key": KEY},
    }
    started = [_start(name, tmp_path, secrets, s3_server) for name in DEPLOYMENTS]
    yield {running.deployment: running for running in started}
    for one in started:
        one.process.kill()
        one.process.wait()


def test_containers_start_answer_their_probes_and_stop(running: dict[str, Running]) -> None:
    for one in running.values():
        startup = one.spec["startupProbe"]
        assert _wait_for(one, startup), one.log.read_text()
        assert one.passes(one.spec["readinessProbe"]), one.log.read_text()
        assert one.passes(one.spec["livenessProbe"])
    _check_triggers(running["easel-api"])
    for one in running.values():
        one.process.terminate()
    for one in running.values():
        pod = manifests.find(OVERLAY, "Deployment", one.deployment)["spec"]["template"]["spec"]
        assert one.process.wait(pod["terminationGracePeriodSeconds"]) == 0, one.log.read_text()


def _start(deployment: str, folder: Path, secrets: dict[str, dict[str, str]], s3_server: S3Server) -> Running:
    spec = manifests.container(OVERLAY, deployment)
    writable = folder / deployment
    writable.mkdir()
    values = manifests.environment(OVERLAY, spec, secrets)
    for port in spec.get("ports", ()):
        variable = {"http": "EASEL_PORT", "metrics": "EASEL_METRICS_PORT"}[port["name"]]
        assert int(values[variable]) == port["containerPort"]
        values[variable] = str(free_port())
    values |= {
        "EASEL_STORE_URL": f"s3://{s3_server.bucket}/k8s",
        "EASEL_S3_ENDPOINT": s3_server.endpoint,
    }
    for name in ("EASEL_LIVENESS_FILE", "EASEL_CACHE"):
        values |= {name: str(writable / Path(values[name]).name)} if name in values else {}
    environment = {**manifests.inherited_environment(), **values}
    log = folder / f"{deployment}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            manifests.command(spec), cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    return Running(deployment, spec, environment, process, log)


def _wait_for(running: Running, probe: dict[str, Any]) -> bool:
    deadline = time.monotonic() + probe["periodSeconds"] * probe["failureThreshold"]
    while time.monotonic() < deadline:
        if running.passes(probe):
            return True
        time.sleep(0.1)
    return False


def _check_triggers(api: Running) -> None:
    """Check that KEDA finds what it scales on: the path, the key and the metrics of its triggers."""
    for trigger in manifests.find(OVERLAY, "ScaledObject", "easel-worker")["spec"]["triggers"]:
        path = urlsplit(trigger["metadata"]["url"]).path
        response = api.get(path, headers={"Authorization": f"Bearer {KEY}"})
        families = text_string_to_metric_families(response.raise_for_status().text)
        samples = [sample for family in families for sample in family.samples]
        (value,) = (
            s.value
            for s in samples
            if f'{s.name}{{state="{s.labels.get("state")}"}}' == trigger["metadata"]["valueLocation"]
        )
        assert value == 0
