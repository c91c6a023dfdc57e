"""Network namespaces on one bridge: each worker has its own address and can be cut off."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

HUB_VARIABLE: Final = "SCALE_HUB"
"""The name of the namespace that this process runs in; the others' names begin with it."""
HUB_ADDRESS: Final = "10.77.0.1"
_BRIDGE: Final = "hub"
_SOURCES: Final = Path("/var/run/netns")


def missing_requirement() -> str | None:
    """Return what keeps this machine from making network namespaces, for people; None if it can."""
    if shutil.which("ip") is None:
        return "`ip` is not installed (Debian: apt-get install iproute2)."
    if os.geteuid() != 0:
        return "Network namespaces need root; run it as root, for example in a container with --privileged."
    name = f"easel-try-{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode:
        return f"This machine does not allow network namespaces: {tried.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", name], check=False)
    return None


def run_in_hub(command: Sequence[str]) -> int:
    """Run a command in a new namespace, then delete it and all that the command made. Return the exit code."""
    hub = f"easel-{os.getpid()}"
    _ip(f"netns add {hub}")
    try:
        return subprocess.run(
            ["ip", "netns", "exec", hub, *command], env={**os.environ, HUB_VARIABLE: hub}, check=False
        ).returncode
    finally:
        for path in _SOURCES.glob(f"{hub}*"):
            with suppress(subprocess.CalledProcessError):
                _ip(f"netns delete {path.name}")


class Network:
    """The namespaces of the workers, made from within the hub."""

    def __init__(self) -> None:
        self._hub = os.environ[HUB_VARIABLE]
        self._made: dict[str, int] = {}
        _ip("link set lo up", f"link add {_BRIDGE} type bridge", f"link set {_BRIDGE} up")
        _ip(f"address add {HUB_ADDRESS}/16 dev {_BRIDGE}")

    def add(self, worker: str) -> str:
        """Make a namespace for a worker and return its name."""
        number = self._made.setdefault(worker, len(self._made) + 1)
        name = f"{self._hub}-{number}"
        _ip(
            f"netns add {name}",
            f"link add v{number} type veth peer name eth0 netns {name}",
            f"link set v{number} master {_BRIDGE} up",
        )
        address = f"10.77.{1 + number // 250}.{number % 250 + 1}"
        _ip("link set lo up", f"address add {address}/16 dev eth0", "link set eth0 up", namespace=name)
        return name

    def partition(self, workers: Sequence[str]) -> None:
        """Cut these workers off from Redis, S3 and each other; connections stay open and hang."""
        _ip(*(f"link set v{self._made[worker]} down" for worker in workers))

    def heal(self, workers: Sequence[str]) -> None:
        """Connect them again."""
        _ip(*(f"link set v{self._made[worker]} up" for worker in workers))


def namespace_path(name: str) -> Path:
    """Return the file for setns(2)."""
    return _SOURCES / name


def _ip(*commands: str, namespace: str | None = None) -> None:
    """Run commands of ip(8) in one process. Raises CalledProcessError."""
    where = ["-netns", namespace] if namespace else []
    subprocess.run(["ip", *where, "-batch", "-"], input="\n".join(commands), text=True, check=True)
