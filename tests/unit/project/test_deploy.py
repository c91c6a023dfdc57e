"""The files under deploy/ name only variables, ports and paths that exist; their commands: test_docs.py."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.requirements import ROOT

from shared.dispatch import create_celery_app, queue_name
from shared.settings import Settings
from worker.celery_app import CeleryWorker

DEPLOY = ROOT / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("*.Dockerfile"))
NAMING_VARIABLES = [*DOCKERFILES, DEPLOY / "compose.yaml", ROOT / "Makefile"]
PINNED = re.compile(r"\S+:[\w.-]+@sha256:[0-9a-f]{64}")
VARIABLES = {f"EASEL_{name.upper()}" for name in Settings.model_fields}


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_the_api_has_the_memory_that_its_decoders_may_use() -> None:
    api = yaml.safe_load((DEPLOY / "k8s/base/api.yaml").read_text().partition("\n---")[0])
    kubernetes = api["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    limits = compose()["services"]["api"]["deploy"]["resources"]["limits"]["memory"], kubernetes
    needed = Settings().decode_processes * Settings().decode_bytes + 2**29
    assert all(int(limit.removesuffix("Gi").removesuffix("g")) * 2**30 >= needed for limit in limits)


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_follows_the_compose_specification() -> None:
    checked = tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_passes_the_linter(dockerfile: Path) -> None:
    checked = tool("hadolint", "--failure-threshold", "info", dockerfile)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("path", NAMING_VARIABLES, ids=lambda path: path.name)
def test_every_variable_is_a_setting(path: Path) -> None:
    assert set(re.findall(r"\bEASEL_[A-Z0-9_]*[A-Z0-9]\b", path.read_text())) <= VARIABLES


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_everything_that_is_copied_into_an_image_exists(dockerfile: Path) -> None:
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)", dockerfile.read_text(), re.MULTILINE))
    for source in re.findall(r"^COPY ([^\s-]\S*)", dockerfile.read_text(), re.MULTILINE):
        assert (ROOT / re.sub(r"\$\{(\w+)\}", lambda match: defaults[match[1]], source)).exists()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_has_pinned_bases_and_a_numeric_user(dockerfile: Path) -> None:
    text = dockerfile.read_text()
    stages = re.findall(r"^FROM (\S+)(?: AS (\w+))?", text, re.MULTILINE)
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.MULTILINE))
    for base, _ in stages:
        assert PINNED.fullmatch(arguments[base.strip("${}")]), base
    assert re.findall(r"^USER (.*)", text, re.MULTILINE) == ["10001:10001"]


@pytest.mark.parametrize("name", compose()["services"])
def test_a_service_of_the_compose_file_is_pinned_limited_and_checked(name: str) -> None:
    service = compose()["services"][name]
    assert "build" in service or PINNED.fullmatch(service["image"])
    assert service["deploy"]["resources"]["limits"]["memory"]
    assert service["healthcheck"].get("test") or name == "bucket"
    assert service.get("read_only") or name == "s3"


def test_every_file_that_a_service_mounts_exists() -> None:
    mounted = [volume for service in compose()["services"].values() for volume in service.get("volumes", ())]
    files = [volume.partition(":")[0] for volume in mounted if volume.startswith(".")]
    assert files
    assert all((DEPLOY / file).exists() for file in files)


def test_prometheus_finds_the_key_and_the_ports_of_its_configuration() -> None:
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    services = compose()["services"]
    (key,) = services["prometheus"]["configs"]
    for job in config["scrape_configs"]:
        for number, target in enumerate(job["dns_sd_configs"]):  # of workers on one GPU each
            assert number == 0 or target["names"] == ["worker-gpu"]
            for environment in (services[name]["environment"] for name in target["names"]):
                port = environment.get("EASEL_METRICS_PORT", Settings.model_fields["port"].default)
                assert target["port"] == int(port) + number
        if "authorization" in job:
            assert key["target"] == f"/etc/prometheus/{job['authorization']['credentials_file']}"


def test_only_the_worker_on_gpus_reserves_them() -> None:
    services = compose()["services"]
    reserving = {name for name, service in services.items() if "reservations" in service["deploy"]["resources"]}
    assert reserving == {"worker-gpu"}
    assert services["worker-gpu"]["profiles"] == ["gpu"]
    assert services["worker-gpu"]["build"]["args"] == {"LOCK": "worker-gpu.txt"}


def test_the_ports_agree() -> None:
    text = (DEPLOY / "api.Dockerfile").read_text()
    port = str(Settings.model_fields["port"].default)
    assert re.findall(r"EXPOSE (\d+)|EASEL_PORT=(\d+)|127\.0\.0\.1:(\d+)", text) == [
        ("", port, ""),
        (port, "", ""),
        ("", "", port),
    ]
    assert compose()["services"]["api"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_every_celery_queue_has_a_consumer() -> None:
    settings = Settings()
    app = create_celery_app(settings)
    worker = CeleryWorker(app, settings, "w@test")
    assert [*app.amqp.queues.consume_from] == [*map(queue_name, settings.tiers), worker.own_queue.name]
