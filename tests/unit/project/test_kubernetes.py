"""The Kubernetes manifests: valid, hardened, and in agreement with the code."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.manifests import OVERLAYS, container, containers, documents, environment, find, pod_specs, render

from api.__main__ import GRACE_SECONDS
from easel.models import JobState
from shared.settings import Settings

SECRETS = {
    "easel-storage": {
        "EASEL_REDIS_URL": "redis://redis:6379/0",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    },
    "easel-api": {"keys": "one,two", "metrics-key": "one"},
}
DRAIN_SECONDS = 15 + 60  # after an evaluation, which may take a minute on a CPU

# The fields used here, from KEDA's documentation (2.17 to 2.20): https://keda.sh/docs/2.20/reference/scaledobject-spec
KEDA: dict[str, dict[str, Any]] = {
    "ScaledObject": {
        "scaleTargetRef": {"name": str},
        "pollingInterval": int,
        "cooldownPeriod": int,
        "minReplicaCount": int,
        "maxReplicaCount": int,
        "fallback": {"failureThreshold": int, "replicas": int, "behavior": str},
        "advanced": {
            "scalingModifiers": {"formula": str, "target": str, "metricType": str},
            "horizontalPodAutoscalerConfig": {
                "behavior": {
                    "scaleDown": {
                        "stabilizationWindowSeconds": int,
                        "policies": [{"type": str, "value": int, "periodSeconds": int}],
                    }
                }
            },
        },
        "triggers": [
            {
                "type": str,
                "name": str,
                "authenticationRef": {"name": str},
                "metadata": dict.fromkeys(("url", "format", "valueLocation", "targetValue", "authMode"), str),
            }
        ],
    },
    "TriggerAuthentication": {"secretTargetRef": [{"parameter": str, "name": str, "key": str}]},
}


def schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, dict):
        fields = {name: schema(field) for name, field in shape.items()}
        return {"type": "object", "properties": fields, "required": [*fields], "additionalProperties": False}
    if isinstance(shape, list):
        return {"type": "array", "items": schema(shape[0]), "minItems": 1}
    return {"type": {str: "string", int: "integer"}[shape]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_manifests_are_valid(overlay: str, tmp_path: Path) -> None:
    (tmp_path / "all.yaml").write_text(render(overlay))
    validate = [Path(sys.executable).with_name("kubernetes-validate"), "--strict", tmp_path / "all.yaml"]
    checked = subprocess.run(validate, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    unknown = re.findall(r"find schema for kind (\w+)", checked.stdout + checked.stderr)
    assert unknown == ([] if overlay == "local" else [*KEDA])


@pytest.mark.parametrize("kind", KEDA)
def test_the_manifests_for_keda_have_only_its_fields(kind: str) -> None:
    (document,) = (document for document in documents("gpu") if document["kind"] == kind)
    Draft202012Validator(schema(KEDA[kind])).validate(document["spec"])


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_and_container_is_hardened(overlay: str) -> None:
    for pod in pod_specs(overlay):
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for spec in containers(overlay):
        assert spec["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {*spec["resources"]["requests"]} == {"cpu", "memory"}
        assert {"cpu", "memory"} <= {*spec["resources"]["limits"]}
        assert "livenessProbe" in spec or spec["name"] == "bucket"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_nothing_may_connect_to_a_pod_unless_a_policy_allows_it(overlay: str) -> None:
    policies = [document["spec"] for document in documents(overlay) if document["kind"] == "NetworkPolicy"]
    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies, "nothing at all"
    allowed = {
        policy["podSelector"]["matchLabels"]["app.kubernetes.io/name"]: policy["ingress"]
        for policy in policies
        if "ingress" in policy and "matchLabels" in policy["podSelector"]
    }
    for name, rules in allowed.items():
        assert name == "easel-api" or all(rule["from"] for rule in rules), f"{name} is open to all"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_secrets_are_only_referred_to(overlay: str) -> None:
    assert not [document for document in documents(overlay) if document["kind"] == "Secret"]
    assert "SECRET" not in str([find(overlay, kind, name) for kind, name in named(overlay) if kind == "ConfigMap"])


def named(overlay: str) -> list[tuple[str, str]]:
    return [(document["kind"], document["metadata"]["name"]) for document in documents(overlay)]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_a_setting(overlay: str) -> None:
    settings = {f"EASEL_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bEASEL_[A-Z0-9_]*[A-Z0-9]\b", render(overlay))) <= settings


def test_each_deployment_has_a_disruption_budget() -> None:
    names = {kind: {name for other, name in named("gpu") if other == kind} for kind, _ in named("gpu")}
    assert names["PodDisruptionBudget"] == names["Deployment"] == {"easel-api", "easel-worker", "easel-reaper"}


def test_the_grace_periods_exceed_the_time_to_stop() -> None:
    api, worker = (
        find("gpu", "Deployment", name)["spec"]["template"]["spec"] for name in ("easel-api", "easel-worker")
    )
    wait = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api["terminationGracePeriodSeconds"] > wait + GRACE_SECONDS
    assert worker["terminationGracePeriodSeconds"] > DRAIN_SECONDS


def test_a_worker_on_gpus_has_one_and_others_have_none() -> None:
    assert container("gpu", "easel-worker")["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "gpu" not in render("cpu") + render("local")


def test_a_worker_uses_as_many_threads_as_it_may_use_cores() -> None:
    spec = container("cpu", "easel-worker")
    assert environment("cpu", spec, SECRETS)["EASEL_THREADS"] == spec["resources"]["limits"]["cpu"]


def test_workers_are_scaled_on_queued_and_running_jobs() -> None:
    spec = find("gpu", "ScaledObject", "easel-worker")["spec"]
    states = {trigger["name"] for trigger in spec["triggers"]}
    assert (
        states == {JobState.QUEUED, JobState.RUNNING} == {*spec["advanced"]["scalingModifiers"]["formula"].split(" + ")}
    )
    for trigger in spec["triggers"]:
        assert trigger["metadata"]["valueLocation"] == f'easel_jobs{{state="{trigger["name"]}"}}'
    assert spec["minReplicaCount"] == 0
    assert "replicas" not in find("gpu", "Deployment", "easel-worker")["spec"]
