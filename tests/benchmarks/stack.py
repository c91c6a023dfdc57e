"""The stack to be measured: Valkey and one API, as `make up` starts them, and workers where they are needed."""

import hashlib
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from uuid_utils import uuid7

from benchmarks.processes import ROOT
from benchmarks.service.load_client import Address
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Plan, Stack, free_port
from shared.jobs.job import Job, Request
from shared.recipe import Recipe
from shared.recovery import job_files
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings
from shared.storage import keys

CACHE: Final = Path("~/.cache/easel").expanduser()
_QUEUE_LIMIT: Final = 1_000_000
_STREAMS: Final = 1000
_START_SECONDS: Final = 60.0
_HIRE_SECONDS: Final = 180.0
_OFTEN: Final = {"EASEL_CHECKPOINT_SECONDS": "2"}  # five checkpoints a job of ten seconds, where the default makes one


class House(Stack):
    """One API process over a Valkey that is on disk before it answers, and a folder of blobs."""

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["House"]:
        """In a folder of its own, gone afterwards; learned weights are kept."""
        with (
            tempfile.TemporaryDirectory(prefix="easel-bench-") as folder,
            cls.running(Plan(Path(folder), CACHE, free_port())) as house,
        ):
            yield house

    def start(self) -> None:
        """No reaper and no workers."""
        self._environment |= {"EASEL_QUEUE_LIMIT": str(_QUEUE_LIMIT), "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        self._environment |= {"EASEL_STREAMS_PER_CLIENT": str(_STREAMS)}  # all come from this machine
        self._start_valkey()
        self.services: Services = open_services(self._settings())
        ensure_paired(self.services)
        self._listening("api", self._start("api", sys.executable, "-m", "api"))

    @property
    def address(self) -> Address:
        """Of the API."""
        return Address("127.0.0.1", self.plan.port)

    def bare(self, answer: bytes) -> Address:
        """Of one Flask route that says `answer` and does nothing, under the same gunicorn."""
        said = self.plan.data / "answer.json"
        said.write_bytes(answer)
        port = free_port()
        command = (sys.executable, "-m", "benchmarks.service.bare", str(port), str(said))
        self._listening("bare", self._start("bare", *command))
        return Address("127.0.0.1", port)

    def crew(self, workers: int, temper: str = "even") -> None:
        """So many simulated workers, and a reaper; returns when all are there. Raises RuntimeError."""
        self._environment |= _OFTEN
        self._start("reaper", sys.executable, "-m", "worker", "reaper")
        self._hired(workers, "benchmarks.service.crew", str(workers), temper)

    def hire(self, *command: str) -> Process:
        """One worker that paints: the product's, unless `command` names another module and its arguments."""
        return self._hired(1, *(command or ("worker", "start", "--name", "one@bench")))

    def submit(self, content: bytes, style: bytes, recipe: Recipe) -> str:
        """A job's id: in the line as the API puts it there, past HTTP. Images are PNG or JPEG."""
        request = Request(
            id=str(uuid7()),
            tier=self.services.settings.tiers[0],
            recipe=recipe,
            content=self._stored(content),
            styles=(self._stored(style),),
            created_at=time.time(),
            digest=str(uuid7()),
        )
        job_files.write_request(self.services.blobs, request)
        self.services.ledger.submit(request, queue_limit=_QUEUE_LIMIT, remember_seconds=60)
        self.services.dispatcher.wake(request.tier)
        return request.id

    def finished(self, job_id: str) -> Job:
        """The job once it has ended. Raises RuntimeError where that was not well."""
        last = self.services.events.last_id(job_id)
        while not (job := self.services.ledger.get(job_id)).completed_at:
            self.check()
            for event in self.services.events.wait({job_id: last}).get(job_id, []):
                last = event.id
        if job.error:
            raise RuntimeError(f"A job failed: {job.error.detail}")
        return job

    def check(self) -> None:
        """Raises RuntimeError where a part has ended: what is waited for would never come."""
        for process in self.supervisor.processes:
            if not process.alive:
                raise RuntimeError(f"{process.name} has ended; the end of {process.log}:\n{process.last_words()}")

    def _hired(self, workers: int, *command: str) -> Process:
        process = self._start("workers", sys.executable, "-m", *command, patience=60)

        def there() -> bool:
            return len(self.services.queue_stats.workers()) == workers

        wait_until(there, seconds=_HIRE_SECONDS, what=f"{workers} of {command[0]}", process=process)
        return process

    def _stored(self, image: bytes) -> str:
        sha256 = hashlib.sha256(image).hexdigest()
        self.services.blobs.put(keys.input_image(sha256), image)
        return sha256

    def _listening(self, what: str, process: Process) -> None:
        def said() -> bool:
            return process.log.exists() and "listens at" in process.log.read_text()

        wait_until(said, seconds=_START_SECONDS, what=what, process=process)

    def _settings(self) -> Settings:
        told = self._environment
        return Settings(redis_url=told["EASEL_REDIS_URL"], store_url=told["EASEL_STORE_URL"])
