"""The real stack with proxies that inject faults: Valkey, a blob store, one API, two reapers and many workers."""

import base64
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, Self

import httpx2
import redis

from chaos.clients.images import WEIGHTS
from chaos.clients.requests import TENANTS
from chaos.fault_log import FaultLog, StallDetector
from chaos.stack.api import CRASH_EVENT
from chaos.stack.processes import RestartingProcess, kill_marked
from chaos.stack.proxies import Proxy
from chaos.stack.stores import ROOT, ChaosStore, open_store
from chaos.timeouts import TENSORFLOW_SETTINGS, environment
from deploy.local.stack import free_port, valkey_binary
from easel.models import JobState
from shared.errors import Unavailable
from shared.jobs.job import Job
from shared.ledger.ledger import connect
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import LONG_TIMEOUTS
from shared.tenants.keys import NewKey, create_key
from shared.tenants.webhook_secrets import webhook_secrets

_TENSORFLOW_WORKER: Final = "worker-tensorflow"
_START_SECONDS: Final = 180.0
_WEBHOOK_SECRET: Final = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class ChaosStackConfig:
    """The parts of the stack."""

    store: str = "local"
    workers: int = 6  # with the sleeping engine
    references: Path | None = None  # the folder that chaos.clients.images wrote; None: no worker with TensorFlow
    broken_fence: bool = False


class ChaosStack:
    """One stack. `with ChaosStack(folder, config) as stack:` starts and stops it."""

    def __init__(self, folder: Path, config: ChaosStackConfig) -> None:
        self.folder, self.config = folder.resolve(), config
        self.fault_log, self.stall_detector = FaultLog(), StallDetector()
        self._mark = f"CHAOS_RUN={secrets.token_hex(8)}"
        (self.folder / "valkey").mkdir(parents=True)
        self.store: ChaosStore = open_store(config.store, self.folder)
        redis_port = free_port()
        self.worker_proxy, self.other_proxy = (Proxy(("127.0.0.1", redis_port)) for _ in range(2))
        self.redis: Any = connect(f"redis://127.0.0.1:{redis_port}/0")
        self.services = self._open_services(redis_port)
        self.api_keys = {tenant: create_key(self.store.blobs, NewKey(tenant=tenant))[1] for tenant in TENANTS}
        self.url = f"http://127.0.0.1:{free_port()}"
        self.valkey = self._process("valkey", *_valkey(redis_port, self.folder / "valkey"))
        self.api = self._process("api", sys.executable, "-m", "chaos.stack.api")
        reaper = (sys.executable, "-m", "worker", "reaper")
        self.reapers = [self._process(f"reaper-{number}", *reaper) for number in (1, 2)]
        self.workers = [self._worker(f"worker-{number}") for number in range(1, config.workers + 1)]
        self.tensorflow_worker = self._tensorflow_worker(config.references) if config.references else None

    @property
    def webhook_secrets(self) -> dict[str, str]:
        """The secret of each tenant's webhooks. Call it after the start."""
        settings = Settings.model_validate({"webhook_secret": _WEBHOOK_SECRET})
        return {tenant: webhook_secrets(settings, self.store.blobs, tenant)[0] for tenant in TENANTS}

    def __enter__(self) -> Self:
        try:
            return self._start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def all_workers(self) -> list[RestartingProcess]:
        """The workers with the sleeping engine, and the one with TensorFlow."""
        return [*self.workers, *([self.tensorflow_worker] if self.tensorflow_worker else [])]

    @property
    def processes(self) -> list[RestartingProcess]:
        """All processes of the stack."""
        return [self.valkey, self.api, *self.reapers, *self.all_workers]

    def running(self) -> list[tuple[Job, RestartingProcess]]:
        """Return the claimed jobs with their workers; empty if Redis is unavailable."""
        by_name = {worker.name: worker for worker in self.all_workers}
        try:
            jobs = self.services.ledger.list(state=JobState.RUNNING, limit=200)
        except Unavailable:
            return []
        return [(job, by_name[job.worker]) for job in jobs if job.worker in by_name]

    def wait_for_running_job(
        self, random: Random, *, seconds: float = 10, condition: Callable[[Job], bool] = bool
    ) -> tuple[Job, RestartingProcess] | None:
        """Return a job that meets `condition` and its worker with the sleeping engine; None after `seconds`."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            sleeping = [(job, worker) for job, worker in self.running() if worker is not self.tensorflow_worker]
            if candidates := [(job, worker) for job, worker in sleeping if condition(job)]:
                return random.choice(candidates)
            time.sleep(0.05)
        return None

    def kill(self, process: RestartingProcess, fault: str, *, group: bool = False) -> bool:
        """Send SIGKILL to a process, or to its whole group, and record it; return False if it does not run."""
        processes = 1 + (len(process.children()) if group else 0)
        killed = process.send(signal.SIGKILL, group=group)
        if killed:
            self.fault_log.record_kill(process.name, fault, processes)
        return killed

    @property
    def environment(self) -> dict[str, str]:
        """The environment for another command of the product."""
        return {**os.environ, **self._environment(self.other_proxy)}

    def api_crashes(self) -> int:
        """Return how often the API crashed in a submission, by its log."""
        log = self.api.log
        return log.read_text(errors="replace").count(CRASH_EVENT) if log.exists() else 0

    def ready(self) -> bool:
        """Return whether the API is ready."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Return whether `condition` came true in time; errors of Redis and the store count as false."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if condition():
                    return True
            except (Unavailable, redis.RedisError):
                pass
            time.sleep(0.05)
        return False

    def close(self) -> None:
        """Stop everything."""
        for process in reversed(self.processes):
            process.stop()
        kill_marked(self._mark)
        self.worker_proxy.close()
        self.other_proxy.close()
        self.redis.close()
        self.store.close()
        self.stall_detector.stop()

    def _start(self) -> Self:
        self.valkey.start()
        self._expect(lambda: bool(self.redis.ping()), "Valkey", self.valkey)
        for process in (self.api, *self.reapers, *self.all_workers):
            process.start()
        self._expect(self.ready, "The API", self.api)
        self._expect(
            lambda: len(self.services.queue_stats.workers()) == len(self.all_workers), "A worker", self.workers[0]
        )
        return self

    def _expect(self, condition: Callable[[], bool], what: str, process: RestartingProcess) -> None:
        if not self.wait_for(condition, _START_SECONDS):
            raise RuntimeError(f"{what} did not start; see {process.log}.")

    def _open_services(self, redis_port: int) -> Services:
        """Open the services without any proxy."""
        store = self.store.environment
        settings = Settings(
            redis_url=f"redis://127.0.0.1:{redis_port}/0",
            store_url=store["EASEL_STORE_URL"],
            s3_endpoint=store.get("EASEL_S3_ENDPOINT"),
        )
        return replace(open_services(settings, LONG_TIMEOUTS), blobs=self.store.blobs)

    def _process(self, name: str, *command: str, proxy: Proxy | None = None, **settings: Any) -> RestartingProcess:
        variables = self._environment(proxy or self.other_proxy, **settings)
        return RestartingProcess(name, command, variables, self.folder / "log" / f"{name}.log")

    def _environment(self, proxy: Proxy, **settings: Any) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
        values = {"redis_url": f"redis://127.0.0.1:{proxy.port}/0", "port": self.url.rpartition(":")[2]}
        webhooks = {"webhook_secret": _WEBHOOK_SECRET, "webhook_private": True}
        folder = str(self.folder)  # also for what killed processes leave
        chaos = {"PYTHONPATH": path, "CHAOS_FOLDER": folder, "TMPDIR": folder, name: value}
        broken = {"CHAOS_BROKEN_FENCE": "1"} if self.config.broken_fence else {}
        return {**environment(**values, **webhooks, **settings), **self.store.environment, **chaos, **broken}

    def _worker(self, name: str) -> RestartingProcess:
        command = (sys.executable, "-m", "chaos.stack.worker", name)
        return self._process(name, *command, proxy=self.worker_proxy, tiers="standard")

    def _tensorflow_worker(self, references: Path) -> RestartingProcess:
        return self._process(
            _TENSORFLOW_WORKER,
            *(sys.executable, "-m", "worker", "start", "--name", _TENSORFLOW_WORKER),
            proxy=self.worker_proxy,
            tiers="batch",
            weights=references / WEIGHTS,
            threads=1,
            **TENSORFLOW_SETTINGS,
        )


def _valkey(port: int, folder: Path) -> tuple[str, ...]:
    """Return the command. Each write is on disk before its response, and never rewritten: the audit reads them all."""
    listen = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")
    persist = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    return (valkey_binary(), *listen, *persist, "--maxmemory-policy", "noeviction")
