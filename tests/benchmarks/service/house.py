"""The stack to be measured: Valkey and one API, as `make up` starts them, and workers where they are needed."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.service.talk import Address
from deploy.processes import Process, wait_until
from deploy.stack import Plan, Stack, free_port
from shared.ports import Ports, establish, open_ports
from shared.settings import Settings

ROOT: Final = Path(__file__).resolve().parents[3]
_QUEUE_LIMIT: Final = 1_000_000
_START_SECONDS: Final = 60.0
_CREW_SECONDS: Final = 180.0
_OFTEN: Final = {"EASEL_CHECKPOINT_SECONDS": "2"}  # five checkpoints a job of ten seconds, where the default makes one


class House(Stack):
    """One API process over a Valkey that is on disk before it answers, and a folder of blobs."""

    @classmethod
    @contextmanager
    def opened(cls) -> Iterator["House"]:
        """In a folder of its own, gone afterwards."""
        with (
            tempfile.TemporaryDirectory(prefix="easel-bench-") as folder,
            cls.running(Plan(Path(folder), Path(folder) / "cache", free_port())) as house,
        ):
            yield house

    def start(self) -> None:
        """No reaper and no workers."""
        self._environment |= {"EASEL_QUEUE_LIMIT": str(_QUEUE_LIMIT), "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"}
        self._start_valkey()
        self.ports: Ports = open_ports(self._settings())
        establish(self.ports)
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

    def crew(self, workers: int) -> None:
        """So many simulated workers, and a reaper; returns when all are there. Raises RuntimeError."""
        self._environment |= _OFTEN
        self._start("reaper", sys.executable, "-m", "worker", "reaper")
        crew = self._start("crew", sys.executable, "-m", "benchmarks.service.crew", str(workers))

        def there() -> bool:
            return len(self.ports.overview.workers()) == workers

        wait_until(there, seconds=_CREW_SECONDS, what=f"A crew of {workers}", process=crew)

    def _listening(self, what: str, process: Process) -> None:
        def said() -> bool:
            return process.log.exists() and "listens at" in process.log.read_text()

        wait_until(said, seconds=_START_SECONDS, what=what, process=process)

    def _settings(self) -> Settings:
        told = self._environment
        return Settings(redis_url=told["EASEL_REDIS_URL"], store_url=told["EASEL_STORE_URL"])
