"""The Kubernetes manifests as kustomize renders them, and their containers as processes of this machine."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from support.requirements import ROOT

K8S = ROOT / "deploy/k8s"
OVERLAYS = ("local", "cpu", "gpu")
_DOCKERFILES = {"easel-api": "api", "easel-worker": "worker", "easel-worker-gpu": "worker"}

Document = dict[str, Any]


@cache
def render(overlay: str) -> str:
    kubectl = Path(sys.executable).with_name("kubectl")
    command = [kubectl, "kustomize", K8S / "overlays" / overlay]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def documents(overlay: str) -> list[Document]:
    return list(yaml.safe_load_all(render(overlay)))


def find(overlay: str, kind: str, name: str) -> Document:
    (found,) = (d for d in documents(overlay) if d["kind"] == kind and d["metadata"]["name"] == name)
    return found


def pod_specs(overlay: str) -> Iterator[Document]:
    """Yield the pod of each Deployment and StatefulSet."""
    for document in documents(overlay):
        if document["kind"] in {"Deployment", "StatefulSet"}:
            yield document["spec"]["template"]["spec"]


def containers(overlay: str) -> Iterator[Document]:
    for pod in pod_specs(overlay):
        yield from pod["containers"]


def container(overlay: str, deployment: str) -> Document:
    found: Document = find(overlay, "Deployment", deployment)["spec"]["template"]["spec"]["containers"][0]
    return found


def environment(overlay: str, spec: Document, secrets: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the environment of a container: its image's, its ConfigMaps', its secrets' and its own, in that order."""
    values = _image_environment(spec)
    for source in spec.get("envFrom", ()):
        if "configMapRef" in source:
            values |= find(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
        else:
            values |= secrets[source["secretRef"]["name"]]
    for variable in spec.get("env", ()):
        value = variable.get("value") or _reference(spec, variable["valueFrom"], secrets)
        if value is not None:
            values[variable["name"]] = value
    return values


def command(spec: Document) -> list[str]:
    """Return the container's command, or its image's, with this machine's Python."""
    words = spec.get("command") or _in_dockerfile(spec, r"^CMD \[(.*)\]")
    program = {"python3": [sys.executable], "easel-worker": [sys.executable, "-P", "-m", "worker"]}
    return [*program.get(words[0], words[:1]), *words[1:]]


def _reference(spec: Document, source: Document, secrets: Mapping[str, Mapping[str, str]]) -> str | None:
    if resource := source.get("resourceFieldRef"):
        section, _, name = resource["resource"].partition(".")
        return str(spec["resources"][section][name])
    reference = source["secretKeyRef"]
    secret = secrets.get(reference["name"], {})
    return secret.get(reference["key"]) if reference.get("optional") else secret[reference["key"]]


def _image_environment(spec: Document) -> dict[str, str]:
    """Return what the Dockerfile sets and the settings read; its paths to Python packages do not exist here."""
    lines = re.findall(r"^ENV (.*)", _dockerfile(spec), re.MULTILINE)
    values = dict(word.partition("=")[::2] for line in lines for word in line.split())
    return {name: value for name, value in values.items() if name.startswith(("EASEL_", "TF_"))}


def _in_dockerfile(spec: Document, pattern: str) -> list[str]:
    (found,) = re.findall(pattern, _dockerfile(spec), re.MULTILINE)
    return [word.strip('" ') for word in found.split(",")]


def _dockerfile(spec: Document) -> str:
    name = spec["image"].rpartition("/")[2].partition(":")[0]
    return (ROOT / f"deploy/{_DOCKERFILES[name]}.Dockerfile").read_text()


def inherited_environment() -> dict[str, str]:
    """Return what a process needs on this machine, without settings of Easel."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EASEL_")}
