"""How the benchmarks continue when a part fails, how they run other processes, and one short run."""

import re
import sys
from pathlib import Path

import pytest
from benchmarks.attempts import Attempts
from benchmarks.figure import Figure, NotHere, figure
from benchmarks.processes import beside, run_alone
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


def _attempts() -> tuple[Attempts, Console]:
    console = Console(record=True, width=200, file=sys.stderr)
    return Attempts(console), console


def _lacking() -> Figure:
    raise NotHere("there is no such device")


def _broken() -> Figure:
    raise ValueError("a wrong loss")


def test_a_figure_that_fails_is_told_with_its_cause_and_the_next_one_is_measured() -> None:
    attempts, console = _attempts()
    assert attempts("first", _broken) is None
    assert attempts("second", lambda: figure([1.0, 2.0, 4.0])) == Figure(2, 1, 4)
    text = console.export_text()
    assert attempts.failed
    assert "a wrong loss" in text
    assert "second: 2 (1 to 4)" in text


def test_a_figure_that_needs_what_this_machine_lacks_is_no_failure() -> None:
    attempts, console = _attempts()
    assert attempts("first", _lacking) is None
    assert not attempts.failed
    assert "first: not measured, there is no such device" in console.export_text()


def test_a_peer_answers_each_order_with_its_next_loss_whatever_else_it_prints() -> None:
    with beside(sys.executable, "-c", SERVE) as step:
        assert [step(), step(), step()] == [0, 1, 2]


def test_a_peer_that_ended_is_told_with_its_last_words() -> None:
    ending = "raise SystemExit('no memory left')"
    with beside(sys.executable, "-c", ending) as step, pytest.raises(RuntimeError, match="no memory left"):
        step()


def test_the_initial_hessian_is_compared_with_the_scaled_identity(
    random_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_WEIGHTS", str(random_weights))
    last_line = run_alone("benchmarks.engine.initial_hessian", "64", "6")
    assert re.fullmatch(r"H_0 reaches the \S+ of 6 evaluations after [1-7]", last_line)
