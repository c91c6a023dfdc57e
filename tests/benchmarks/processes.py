"""Parts of the benchmarks that need a process of their own: each sets up TensorFlow in its own way, or has none."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).resolve().parents[2]
_ENVIRONMENT: Final = {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": "2"}
_SAID: Final = 3000  # characters

Step = Callable[[], float]
"""Does one, and gives the total loss that it started from."""


@dataclass(frozen=True)
class Peer:
    """A process that does a step for each line that it is sent."""

    pid: int
    _command: tuple[str, ...]
    _orders: IO[str]
    _answers: IO[str]
    _complaints: IO[str]

    def __call__(self) -> float:
        """One step, and the loss that it started from. Raises RuntimeError where the process has ended."""
        with suppress(BrokenPipeError):
            print(file=self._orders, flush=True)
        if not (answer := self._answers.readline()):
            self._complaints.seek(0)
            raise RuntimeError(f"{' '.join(self._command)} ended:\n{self._complaints.read()[-_SAID:]}")
        return float(answer)


@contextmanager
def beside(*command: str) -> Iterator[Peer]:
    """`command` as a peer, which ends with the block."""
    pipe, environment = subprocess.PIPE, os.environ | _ENVIRONMENT
    with (
        tempfile.TemporaryFile("w+") as said,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=said, text=True) as run,
    ):
        if run.stdin is None or run.stdout is None:
            raise AssertionError("Pipes were asked for.")
        try:
            yield Peer(run.pid, command, run.stdin, run.stdout, said)
        finally:
            run.terminate()


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command that runs one of our own."""
    return (sys.executable, "-m", name, *arguments)


def serve(make: Callable[[], Step]) -> None:
    """Be a peer: a step for each line on standard input. What else is printed goes where complaints go."""
    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        step = make()
        for _ in sys.stdin:
            print(step(), file=answers, flush=True)


def run_alone(name: str, *arguments: str) -> str:
    """What `python -m name arguments` wrote last. Raises RuntimeError with its complaints where it failed."""
    command = module(name, *arguments)
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | _ENVIRONMENT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stderr[-_SAID:]}")
    return ran.stdout.strip().splitlines()[-1]
