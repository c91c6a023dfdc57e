"""The stack that is measured: Valkey and one API, as `make up` starts them, and workers on demand."""

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
from benchmarks.service.support.load_client import Address
from deploy.local.processes import Process, wait_until
from deploy.local.stack import Stack, StackConfig, free_port
from shared.jobs.job import Job, JobRequest
from shared.recipe import Recipe
from shared.recovery import job_files
from shared.services import Services, ensure_paired, open_services
from shared.settings import Settings
from shared.storage import keys

CACHE: Final = Path("~/.cache/easel").expanduser()
_QUEUE_LIMIT: Final = 1_000_000
_STREAMS: Final = 1000
_START_SECONDS: Final = 60.0
_WORKERS_START_SECONDS: Final = 180.0
_FREQUENT_CHECKPOINTS: Final = {"EASEL_CHECKPOINT_SECONDS": "2"}  # five in a job of ten seconds; by default one


def store_image(services: Services, image: bytes) -> str:
    """Store a PNG or JPEG as the API does, and return its name."""
    sha256 = hashlib.sha256(image).hexdigest()
    services.blobs.put(keys.input_image(sha256), image)
    return sha256


def submit_job(services: Services, tier: str, images: tuple[str, str], recipe: Recipe) -> str:
    """Queue a job for a stored content and style as the API does, without HTTP, and return its id."""
    content, style = images
    request = JobRequest(
        id=str(uuid7()),
        tier=tier,
        recipe=recipe,
        content=content,
        styles=(style,),
        created_at=time.time(),
        digest=str(uuid7()),
    )
    job_files.write_request(services.blobs, request)
    services.ledger.submit(request, queue_limit=_QUEUE_LIMIT, remember_seconds=60)
    services.dispatcher.wake(request.tier)
    return request.id


class BenchmarkStack(Stack):
    """One API process, Valkey with every write on disk before its response, and a folder of blobs."""

    @classmethod
    @contextmanager
    def run_temporarily(cls) -> Iterator["BenchmarkStack"]:
        """Run the stack in a temporary folder; learned weights are kept elsewhere."""
        with (
            tempfile.TemporaryDirectory(prefix="easel-bench-") as folder,
            cls.running(StackConfig(Path(folder), CACHE, free_port())) as stack,
        ):
            yield stack

    def start(self) -> None:
        """Start Valkey and the API, without reaper and workers."""
        self._environment |= {"EASEL_QUEUE_LIMIT": str(_QUEUE_LIMIT), "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        self._environment |= {"EASEL_STREAMS_PER_CLIENT": str(_STREAMS)}  # all clients have this machine's address
        self._start_valkey()
        self.services: Services = open_services(self._settings())
        ensure_paired(self.services)
        self._wait_until_listening("api", self._start("api", sys.executable, "-m", "api"))

    @property
    def address(self) -> Address:
        """The API's address."""
        return Address("127.0.0.1", self.config.port)

    def start_bare_flask(self, document: bytes) -> Address:
        """Start one Flask route that returns `document`, under the same gunicorn; return its address."""
        file = self.config.data / "document.json"
        file.write_bytes(document)
        port = free_port()
        command = (sys.executable, "-m", "benchmarks.service.support.bare_flask", str(port), str(file))
        self._wait_until_listening("bare", self._start("bare", *command))
        return Address("127.0.0.1", port)

    def start_simulated_workers(self, count: int, speed: str = "even") -> None:
        """Start a reaper and `count` workers with a simulated engine, and wait for them. Raises RuntimeError."""
        self._environment |= _FREQUENT_CHECKPOINTS
        self._start("reaper", sys.executable, "-m", "worker", "reaper")
        self._start_workers(count, "benchmarks.service.support.worker_pool", str(count), speed)

    def start_worker(self, *command: str) -> Process:
        """Start one real worker, or the module and arguments in `command`."""
        return self._start_workers(1, *(command or ("worker", "start", "--name", "one@bench")))

    def submit(self, content: bytes, style: bytes, recipe: Recipe) -> str:
        """Queue a job as the API does, without HTTP, and return its id. Images are PNG or JPEG."""
        images = (store_image(self.services, content), store_image(self.services, style))
        return submit_job(self.services, self.services.settings.default_tier, images, recipe)

    def wait_for_end(self, job_id: str) -> Job:
        """Wait for the job's end and return it. Raises RuntimeError if the job or the stack fails."""
        last = self.services.events.last_id(job_id)
        while not (job := self.services.ledger.get(job_id)).completed_at:
            self.check()
            for event in self.services.events.wait({job_id: last}).get(job_id, []):
                last = event.id
        if job.error:
            raise RuntimeError(f"A job failed: {job.error.detail}")
        return job

    def check(self) -> None:
        """Raise RuntimeError if a process has ended."""
        for process in self.supervisor.processes:
            if not process.alive:
                raise RuntimeError(f"{process.name} has ended; the end of {process.log}:\n{process.log_tail()}")

    def _start_workers(self, count: int, *command: str) -> Process:
        process = self._start("workers", sys.executable, "-m", *command, stop_timeout=60)

        def all_registered() -> bool:
            return len(self.services.queue_stats.workers()) == count

        wait_until(all_registered, seconds=_WORKERS_START_SECONDS, what=f"{count} of {command[0]}", process=process)
        return process

    def _wait_until_listening(self, what: str, process: Process) -> None:
        def listening() -> bool:
            return process.log.exists() and "listens at" in process.log.read_text()

        wait_until(listening, seconds=_START_SECONDS, what=what, process=process)

    def _settings(self) -> Settings:
        environment = self._environment
        return Settings(redis_url=environment["EASEL_REDIS_URL"], store_url=environment["EASEL_STORE_URL"])
