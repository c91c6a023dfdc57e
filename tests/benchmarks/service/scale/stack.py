"""What the workers share: Valkey, which writes to disk before it responds, an S3 server, and a reaper."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from chaos.stack.stores import ACCESS, SECRET, make_bucket

from benchmarks.processes import ROOT
from benchmarks.service.scale.network import HUB_ADDRESS, Network
from deploy.local.processes import Process, Supervisor, wait_until
from deploy.local.stack import valkey_binary
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings
from shared.storage import LONG_TIMEOUTS

LEASE_SECONDS: Final = 10.0
_PORT: Final = 6379
_BUCKET: Final = "easel-scale"
_START_SECONDS: Final = 300.0
_SETTINGS: Final = {
    "EASEL_LEASE_SECONDS": str(LEASE_SECONDS),
    "EASEL_REAPER_SECONDS": "2",
    "EASEL_PREVIEW_SECONDS": "5",
    "EASEL_QUEUE_LIMIT": "1000000",
}


class ScaleStack:
    """`with ScaleStack(folder) as stack:` starts and stops it. Runs in the hub's namespace."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.network = folder, Network()
        self.running: list[str] = []
        self._supervisor = Supervisor()
        self._ended: queue.Queue[dict[str, Any]] = queue.Queue()
        self._environment = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", **_SETTINGS}

    def __enter__(self) -> Self:
        try:
            self._start_valkey()
            self._start_s3()
            self.services: Services = open_services(Settings(), LONG_TIMEOUTS)
            ensure_paired(self.services)
            self.start("reaper", sys.executable, "-m", "worker", "reaper")
            self._start_pool()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything."""
        if hasattr(self, "_pool"):
            os.killpg(self._pool.pid, signal.SIGKILL)  # the workers, too
            self._pool.wait()
        self._supervisor.stop()

    def join(self, names: Sequence[str]) -> None:
        """Start simulated workers in their namespaces, and wait until they have registered."""
        for name in names:
            self._send("start", name, self.network.add(name))
        self.running += names
        self.wait(lambda: {*names} <= self.registered(), f"{len(names)} workers")

    def leave(self, names: Sequence[str]) -> list[float]:
        """Send SIGTERM to simulated workers at the same time; return the seconds until each had ended."""
        for name in names:
            self._send("stop", name)
        ended = [self._ended.get(timeout=_START_SECONDS) for _ in names]
        self.running = [name for name in self.running if name not in names]
        if failed := [worker for worker in ended if worker["code"]]:
            raise RuntimeError(f"Workers failed as they left: {failed}")
        return [worker["seconds"] for worker in ended]

    def start_real_worker(self, name: str, **settings: Any) -> Process:
        """Start a worker with TensorFlow in a namespace of its own, and wait until it has registered."""
        command = (
            "ip",
            "netns",
            "exec",
            self.network.add(name),
            sys.executable,
            "-m",
            "worker",
            "start",
            "--name",
            name,
        )
        process = self.start(name, *command, **{f"EASEL_{key.upper()}": str(value) for key, value in settings.items()})
        self.wait(lambda: name in self.registered(), name)
        return process

    def registered(self, since: float = 0) -> set[str]:
        """Return the names of the live workers, or of those that have registered since then."""
        return {worker.name for worker in self.services.queue_stats.workers() if worker.seen_at >= since}

    def wait(self, ready: Callable[[], bool], what: str, seconds: float = _START_SECONDS) -> None:
        """Wait for a condition. Raises RuntimeError after `seconds`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"Waited {seconds:.0f} s for {what}; the logs are in {self.folder}.")
            time.sleep(0.1)

    def start(self, name: str, *command: str, **environment: str) -> Process:
        """Start a process, which ends with the stack."""
        log = self.folder / "log" / f"{name}.log"
        return self._supervisor.start(Process(name, command, {**self._environment, **environment}, log, 30))

    def _start_valkey(self) -> None:
        folder = self.folder / "valkey"
        folder.mkdir()
        listen = (
            "--port",
            str(_PORT),
            "--bind",
            HUB_ADDRESS,
            "--protected-mode",
            "no",
            "--dir",
            str(folder),
            "--save",
            "",
        )
        # Never rewritten: the audit reads every write.
        persist = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
        process = self.start("valkey", valkey_binary(), *listen, *persist, "--maxmemory-policy", "noeviction")
        wait_until(lambda: "Ready to accept" in process.log_tail(), seconds=30, what="Valkey", process=process)
        self._set(EASEL_REDIS_URL=f"redis://{HUB_ADDRESS}:{_PORT}/0")

    def _start_s3(self) -> None:
        python = ROOT / ".venv-s3/bin/python"
        if not python.exists():
            raise RuntimeError("No S3 server is installed; run `make .venv-s3/ready`.")
        script = ROOT / "tests/support/s3_server.py"
        command = (str(python), "-W", "ignore", str(script), str(self.folder / "s3"), SECRET, HUB_ADDRESS)
        process = self.start("s3", *command)
        wait_until(lambda: "ready" in process.log_tail(), seconds=30, what="The S3 server", process=process)
        self.s3_endpoint = f"http://{HUB_ADDRESS}:{process.log_tail().split()[-1]}"
        make_bucket(self.s3_endpoint, _BUCKET)
        self._set(EASEL_STORE_URL=f"s3://{_BUCKET}", EASEL_S3_ENDPOINT=self.s3_endpoint)
        self._set(AWS_ACCESS_KEY_ID=ACCESS, AWS_SECRET_ACCESS_KEY=SECRET)

    def _set(self, **variables: str) -> None:
        """Set variables for this process and those that it starts."""
        os.environ |= variables

    def _start_pool(self) -> None:
        command = [sys.executable, "-m", "benchmarks.service.scale.pool"]
        pipe, environment = subprocess.PIPE, {**os.environ, **self._environment, "EASEL_TIERS": "standard"}
        with (self.folder / "log" / "workers.log").open("w") as log:
            self._pool = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=log, env=environment, text=True, start_new_session=True
            )
        threading.Thread(target=self._read_ended, daemon=True).start()

    def _send(self, *words: str) -> None:
        assert self._pool.stdin is not None
        print(*words, file=self._pool.stdin, flush=True)

    def _read_ended(self) -> None:
        assert self._pool.stdout is not None
        for line in self._pool.stdout:
            self._ended.put(json.loads(line))
