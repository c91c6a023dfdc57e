"""The real stack with wires through which it can be hurt: Valkey, a store, one API, two reapers, many workers."""

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

from chaos.api import DIES
from chaos.notes import Notes, Pulse
from chaos.pictures import WEIGHTS
from chaos.processes import Kept, end_marked
from chaos.scale import TENSORFLOW, environment
from chaos.stores import ROOT, Store, open_store
from chaos.wires import Wire
from deploy.local.stack import free_port, valkey_binary
from easel.models import JobState
from shared.errors import Unavailable
from shared.jobs.job import Job
from shared.ledger.ledger import connect
from shared.services import Services, open_services
from shared.settings import Settings
from shared.storage import PATIENT

PAINTER: Final = "painter"
_START_SECONDS: Final = 180.0


@dataclass(frozen=True)
class Cast:
    """Who plays."""

    store: str = "local"
    workers: int = 6
    paintings: Path | None = None  # the folder that chaos.pictures wrote; None: nobody paints with TensorFlow
    broken_fence: bool = False


class World:
    """One stack. `with World(folder, cast) as world:` starts it and ends it."""

    def __init__(self, folder: Path, cast: Cast) -> None:
        self.folder, self.cast, self.notes, self.pulse = folder.resolve(), cast, Notes(), Pulse()
        self.over = False
        self._mark = f"CHAOS_RUN={secrets.token_hex(8)}"
        (self.folder / "valkey").mkdir(parents=True)
        self.store: Store = open_store(cast.store, self.folder)
        redis_port = free_port()
        self.worker_wire, self.other_wire = (Wire(("127.0.0.1", redis_port)) for _ in range(2))
        self.redis: Any = connect(f"redis://127.0.0.1:{redis_port}/0")
        self.services = self._open_services(redis_port)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.valkey = self._kept("valkey", *_valkey(redis_port, self.folder / "valkey"))
        self.api = self._kept("api", sys.executable, "-m", "chaos.api")
        reaper = (sys.executable, "-m", "worker", "reaper")
        self.reapers = [self._kept(f"reaper-{number}", *reaper) for number in (1, 2)]
        self.workers = [self._sleeper(f"worker-{number}") for number in range(1, cast.workers + 1)]
        self.painter = self._painter(cast.paintings) if cast.paintings else None

    def __enter__(self) -> Self:
        try:
            return self._start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def all_workers(self) -> list[Kept]:
        """Those that sleep, and the one that paints."""
        return [*self.workers, *([self.painter] if self.painter else [])]

    @property
    def processes(self) -> list[Kept]:
        """All of the stack."""
        return [self.valkey, self.api, *self.reapers, *self.all_workers]

    def running(self) -> list[tuple[Job, Kept]]:
        """Claimed jobs with their holders; none where Redis does not answer."""
        by_name = {worker.name: worker for worker in self.all_workers}
        try:
            jobs = self.services.ledger.list(state=JobState.RUNNING, limit=200)
        except Unavailable:
            return []
        return [(job, by_name[job.worker]) for job in jobs if job.worker in by_name]

    def holder(
        self, random: Random, *, seconds: float = 10, fit: Callable[[Job], bool] = bool
    ) -> tuple[Job, Kept] | None:
        """A worker that sleeps over a job that fits, waited for; None where there is none for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = [(job, kept) for job, kept in self.running() if kept is not self.painter and fit(job)]
            if found:
                return random.choice(found)
            time.sleep(0.05)
        return None

    def kill(self, whom: Kept, what: str, *, group: bool = False) -> bool:
        """Kill -9 a process, or with its children, and note it; False where it does not run."""
        victims = 1 + (len(whom.children()) if group else 0)
        hit = whom.send(signal.SIGKILL, group=group)
        if hit:
            self.notes.killed(whom.name, what, victims)
        return hit

    @property
    def environment(self) -> dict[str, str]:
        """For one more command of the product's own."""
        return {**os.environ, **self._environment(self.other_wire)}

    def api_deaths(self) -> int:
        """How often the API died in a submission, by its own account."""
        log = self.api.log
        return log.read_text(errors="replace").count(DIES) if log.exists() else 0

    def ready(self) -> bool:
        """Whether the API says that it can serve."""
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    def wait_for(self, what: Callable[[], bool], seconds: float) -> bool:
        """Whether it came true in time; Redis and the store may be away meanwhile."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if what():
                    return True
            except (Unavailable, redis.RedisError):
                pass
            time.sleep(0.05)
        return False

    def close(self) -> None:
        """End everything."""
        for process in reversed(self.processes):
            process.stop()
        end_marked(self._mark)
        self.worker_wire.close()
        self.other_wire.close()
        self.redis.close()
        self.store.close()
        self.pulse.stop()

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

    def _expect(self, what: Callable[[], bool], who: str, process: Kept) -> None:
        if not self.wait_for(what, _START_SECONDS):
            raise RuntimeError(f"{who} did not start; see {process.log}.")

    def _open_services(self, redis_port: int) -> Services:
        """Past all wires."""
        told = self.store.environment
        settings = Settings(
            redis_url=f"redis://127.0.0.1:{redis_port}/0",
            store_url=told["EASEL_STORE_URL"],
            s3_endpoint=told.get("EASEL_S3_ENDPOINT"),
        )
        return replace(open_services(settings, PATIENT), blobs=self.store.blobs)

    def _kept(self, name: str, *command: str, wire: Wire | None = None, **settings: Any) -> Kept:
        given = self._environment(wire or self.other_wire, **settings)
        return Kept(name, command, given, self.folder / "log" / f"{name}.log")

    def _environment(self, wire: Wire, **settings: Any) -> dict[str, str]:
        name, _, value = self._mark.partition("=")
        path = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
        told = {"redis_url": f"redis://127.0.0.1:{wire.port}/0", "port": self.url.rpartition(":")[2], **settings}
        chaos = {"PYTHONPATH": path, "CHAOS_FOLDER": str(self.folder), name: value}
        broken = {"CHAOS_BROKEN_FENCE": "1"} if self.cast.broken_fence else {}
        return {**environment(**told), **self.store.environment, **chaos, **broken}

    def _sleeper(self, name: str) -> Kept:
        command = (sys.executable, "-m", "chaos.worker", name)
        return self._kept(name, *command, wire=self.worker_wire, tiers="standard")

    def _painter(self, paintings: Path) -> Kept:
        return self._kept(
            PAINTER,
            *(sys.executable, "-m", "worker", "start", "--name", PAINTER),
            wire=self.worker_wire,
            tiers="batch",
            weights=paintings / WEIGHTS,
            threads=1,
            **TENSORFLOW,
        )


def _valkey(port: int, folder: Path) -> tuple[str, ...]:
    """Every write is on disk before it is answered, and none is ever rewritten: the audit reads them all."""
    listen = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "")
    keep = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    return (valkey_binary(), *listen, *keep, "--maxmemory-policy", "noeviction")
