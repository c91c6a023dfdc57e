"""The real API, a reaper and a worker with an engine that sleeps, which serve metrics, on a Valkey of their own."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from chaos.timeouts import SCALED_SETTINGS
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.stack import free_port
from support.background import in_background
from support.fixtures.api import PHOTO, STYLE
from support.fixtures.valkey import Valkey
from support.fixtures.webhooks import SECRETS
from support.fixtures.worker import children
from support.requirements import PYTHONPATH

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "api": ("api",),
    "reaper": ("worker", "reaper"),
    "worker": ("chaos.stack.worker", "one@test"),
}


class MonitoredStack:
    """One process of each kind. A test may stop and start them."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.valkey = Valkey(folder)
        self.ports = {name: free_port() for name in COMMANDS}
        self.url = f"http://127.0.0.1:{self.ports['api']}"
        values = {
            **SCALED_SETTINGS,
            "redis_url": self.valkey.url,
            "store_url": (folder / "blobs").as_uri(),
            "port": self.ports["api"],
            "webhook_secret": SECRETS[0],
            "webhook_private": True,
            "attempts_limit": 99,  # the tests kill processes more often than happens elsewhere
            **settings,
        }
        self._environment = {f"EASEL_{name.upper()}": str(value) for name, value in values.items()}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> None:
        """Start these processes, by default all, and wait until they serve metrics."""
        for name in names or COMMANDS:
            port = {} if name == "api" else {"EASEL_METRICS_PORT": str(self.ports[name])}
            with (self.folder / f"{name}.log").open("ab") as log:
                self._processes[name] = subprocess.Popen(
                    [sys.executable, "-m", *COMMANDS[name]],
                    env={
                        **os.environ,
                        **self._environment,
                        **port,
                        "PYTHONPATH": PYTHONPATH,
                        "CHAOS_FOLDER": str(self.folder),
                    },
                    stdout=log,
                    stderr=log,
                )
        for name in names or COMMANDS:
            self.wait(lambda name=name: self._serves(name))

    def stop(self, *names: str, number: signal.Signals = signal.SIGKILL) -> None:
        """End these processes, by default all, and their children."""
        for name in names or [*self._processes]:
            process = self._processes.pop(name)
            offspring = children(process.pid)
            process.send_signal(number)
            if number is signal.SIGKILL:
                for child in offspring:
                    with suppress(ProcessLookupError):
                        os.kill(child, number)
            process.wait(30)

    def kill_child(self) -> None:
        """Kill the worker's child as the kernel does when memory runs out."""
        for child in children(self._processes["worker"].pid):
            os.kill(child, signal.SIGKILL)

    def child_memory(self) -> int:
        """Return the resident memory of the worker's child."""
        (child,) = children(self._processes["worker"].pid)
        return int(Path(f"/proc/{child}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def submit(self, *, webhook: str | None = None, **recipe: Any) -> str:
        """Submit a job through the API and return its ID."""
        fields = {"preset": "fast", "init": "content", "size": 64, "steps": 20, **recipe}
        data = {"recipe": httpx2.Response(200, json=fields).text, **({"webhook_url": webhook} if webhook else {})}
        files = {"content": ("a.png", PHOTO, "image/png"), "style": ("b.png", STYLE, "image/png")}
        response = httpx2.post(f"{self.url}/v1/jobs", data=data, files=files, timeout=30)
        assert response.status_code == 202, response.text
        return str(response.json()["id"])

    def try_to_submit(self) -> None:
        """Submit a job that the API cannot accept."""
        with pytest.raises(AssertionError, match="_unavailable"):
            self.submit()

    def job(self, job_id: str) -> dict[str, Any]:
        job: dict[str, Any] = httpx2.get(f"{self.url}/v1/jobs/{job_id}", timeout=30).json()
        return job

    def cancel(self, job_id: str) -> None:
        httpx2.post(f"{self.url}/v1/jobs/{job_id}/cancel", timeout=30).raise_for_status()

    def run(self, *, state: str = "succeeded", **recipe: Any) -> str:
        """Submit a job and wait for its end."""
        job_id = self.submit(**recipe)
        self.wait_for_state(job_id, state)
        return job_id

    def wait_for_state(self, job_id: str, state: str) -> None:
        self.wait(lambda: self.job(job_id)["state"] == state)

    def remove_inputs(self) -> None:
        """Remove the images of all jobs from the blob store."""
        for image in (self.folder / "blobs/inputs").iterdir():
            image.unlink()

    @contextmanager
    def broken_store(self) -> Iterator[None]:
        """Let a file take the place of the blob store's folder."""
        folder, aside = self.folder / "blobs", self.folder / "aside"
        folder.rename(aside)
        folder.touch()
        try:
            yield
        finally:
            folder.unlink()
            aside.rename(folder)

    @contextmanager
    def full_redis(self) -> Iterator[None]:
        """Limit Redis' memory to what it uses, so that it accepts no writes."""
        with self.valkey.client() as client:
            client.config_set("maxmemory", 1)
            try:
                yield
            finally:
                client.config_set("maxmemory", 0)

    @contextmanager
    def slow_redis(self) -> Iterator[None]:
        """Let Redis answer only every third of a second."""

        def pause(stop: threading.Event) -> None:
            with self.valkey.client() as client:
                while not stop.wait(0.01):
                    client.execute_command("CLIENT", "PAUSE", 300, "ALL")

        with in_background(pause):
            yield

    def metrics(self, name: str) -> dict[str, Metric]:
        """Return what a process exports, by name; a counter's without `_total`."""
        text = httpx2.get(f"http://127.0.0.1:{self.ports[name]}/metrics", timeout=30).text
        return {family.name: family for family in text_string_to_metric_families(text)}

    def value(self, process: str, sample_name: str, /, **labels: str) -> float:
        """Return the sum of the samples of this name with these labels, of one process."""
        families = self.metrics(process).values()
        samples = (sample for family in families for sample in family.samples if sample.name == sample_name)
        return sum(sample.value for sample in samples if labels.items() <= sample.labels.items())

    def wait(self, until: Callable[[], bool], *, seconds: float = 60) -> None:
        """Wait until it holds."""
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, self.logs()
            time.sleep(0.05)

    def logs(self) -> str:
        return "\n".join(f"{log.name}\n{log.read_text()[-3000:]}" for log in self.folder.glob("*.log"))

    def _serves(self, name: str) -> bool:
        assert self._processes[name].poll() is None, self.logs()
        with suppress(httpx2.TransportError):
            return bool(self.metrics(name))
        return False


def running_stack(folder: Path, **settings: Any) -> Iterator[MonitoredStack]:
    """Run a stack, for a fixture."""
    stack = MonitoredStack(folder, **settings)
    stack.valkey.start()
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()
        stack.valkey.stop()
