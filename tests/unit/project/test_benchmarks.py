"""How benchmarks continue after a failure and run other processes."""

import re
import sys
from pathlib import Path

import pytest
from benchmarks.figure import Figure, NotAvailable, figure
from benchmarks.measurement_runner import MeasurementRunner
from benchmarks.processes import peer_process, run_module
from rich.console import Console

SERVE = """
from itertools import count
from benchmarks.processes import serve

def make():
    print("what a library says while it starts")
    numbers = count()
    return lambda: (print("or at work"), float(next(numbers)))[1]

serve(make)
"""


def _create_runner() -> tuple[MeasurementRunner, Console]:
    console = Console(record=True, width=200, file=sys.stderr)
    return MeasurementRunner(console), console


def _lacking() -> Figure:
    raise NotAvailable("there is no such device")


def _broken() -> Figure:
    raise ValueError("a wrong loss")


def test_a_failed_measurement_is_reported_with_its_cause_and_the_next_one_runs() -> None:
    runner, console = _create_runner()
    assert runner("first", _broken) is None
    assert runner("second", lambda: figure([1.0, 2.0, 4.0])) == Figure(2, 1, 4)
    text = console.export_text()
    assert runner.failed
    assert "a wrong loss" in text
    assert "second: 2 (1 to 4)" in text


def test_a_measurement_that_this_machine_cannot_make_is_not_a_failure() -> None:
    runner, console = _create_runner()
    assert runner("first", _lacking) is None
    assert not runner.failed
    assert "first: not measured, there is no such device" in console.export_text()


def test_a_peer_responds_with_one_loss_for_each_request_whatever_else_it_prints() -> None:
    with peer_process(sys.executable, "-c", SERVE) as step:
        assert [step(), step(), step()] == [0, 1, 2]


def test_the_error_of_a_peer_that_ended_contains_its_stderr() -> None:
    ending = "raise SystemExit('no memory left')"
    with peer_process(sys.executable, "-c", ending) as step, pytest.raises(RuntimeError, match="no memory left"):
        step()


@pytest.mark.slow
def test_the_initial_hessian_is_compared_with_the_scaled_identity(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_WEIGHTS", str(random_weights))
    last_line = run_module("benchmarks.engine.initial_hessian", "64", "6")
    assert re.fullmatch(r"gamma I reaches \S+ after 6 evaluations, H_0 after [1-7]", last_line)
