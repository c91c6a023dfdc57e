"""Benchmark parts in separate processes, each with its own TensorFlow setup or without TensorFlow."""

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
_TAIL: Final = 3000  # characters

Step = Callable[[], float]
"""Does one step and returns the total loss before it."""


@dataclass(frozen=True)
class Peer:
    """A process that does one step for each line on its standard input."""

    pid: int
    _command: tuple[str, ...]
    _requests: IO[str]
    _responses: IO[str]
    _errors: IO[str]

    def __call__(self) -> float:
        """Do one step and return the loss before it. Raises RuntimeError if the process has ended."""
        with suppress(BrokenPipeError):
            print(file=self._requests, flush=True)
        if not (line := self._responses.readline()):
            self._errors.seek(0)
            raise RuntimeError(f"{' '.join(self._command)} ended:\n{self._errors.read()[-_TAIL:]}")
        return float(line)


@contextmanager
def peer_process(*command: str) -> Iterator[Peer]:
    """Run `command` as a peer during the block."""
    pipe, environment = subprocess.PIPE, os.environ | _ENVIRONMENT
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, cwd=ROOT, env=environment, stdin=pipe, stdout=pipe, stderr=errors, text=True) as run,
    ):
        if run.stdin is None or run.stdout is None:
            raise AssertionError("Popen did not open the pipes.")
        try:
            yield Peer(run.pid, command, run.stdin, run.stdout, errors)
        finally:
            run.terminate()


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """Return the command for `python -m name arguments`."""
    return (sys.executable, "-m", name, *arguments)


def serve(make: Callable[[], Step]) -> None:
    """Run as a peer: one step for each line on standard input. Other output goes to stderr."""
    responses = sys.stdout
    with redirect_stdout(sys.stderr):
        step = make()
        for _ in sys.stdin:
            print(step(), file=responses, flush=True)


def run_module(name: str, *arguments: str) -> str:
    """Return the last line that `python -m name arguments` printed. Raises RuntimeError with its stderr if it fails."""
    command = module(name, *arguments)
    ran = subprocess.run(command, cwd=ROOT, env=os.environ | _ENVIRONMENT, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stderr[-_TAIL:]}")
    return ran.stdout.strip().splitlines()[-1]
