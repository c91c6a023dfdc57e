"""Log lines in JSON: those of `logging`, and what is written past it."""

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest
from support.requirements import ROOT

from shared.raw_output import to_json

START = """
import logging, os, signal, subprocess, sys, threading, warnings
import structlog
from shared.logging import configure_logging
from shared.settings import Settings
configure_logging(Settings(), worker="w1")
"""


def run(code: str, **environment: str) -> tuple[list[dict[str, Any]], int]:
    """Return the lines that a process with JSON logs writes, and its exit code."""
    ran = subprocess.run(
        [sys.executable, "-c", START + code],
        cwd=ROOT,
        env={**os.environ, "EASEL_LOG_FORMAT": "json", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return [json.loads(line) for line in ran.stdout.splitlines()], ran.returncode


def test_what_is_written_past_logging_becomes_a_log_line() -> None:
    lines, _ = run("""
print("from Python")
os.write(2, b"from C\\n")
subprocess.run(["sh", "-c", "echo from a child; echo without an end >&2"])
""")
    written = {(line["event"], line["level"], line["line"]) for line in lines}
    assert written == {
        ("stdout", "info", "from Python"),
        ("stderr", "warning", "from C"),
        ("stdout", "info", "from a child"),
        ("stderr", "warning", "without an end"),
    }
    assert {line["worker"] for line in lines} == {"w1"}


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGKILL])
def test_a_crash_loses_no_line(number: signal.Signals) -> None:
    code = f"""
structlog.get_logger().info("last_event")
os.write(2, b"".join(b"line %d\\n" % number for number in range(500)))
os.kill(os.getpid(), {number:d})
"""
    lines, exit_code = run(code)
    assert exit_code == -number
    assert [line["line"] for line in lines if line["event"] == "stderr"] == [f"line {number}" for number in range(500)]
    assert "last_event" in [line["event"] for line in lines]


def test_a_segmentation_fault_is_logged() -> None:
    lines, _ = run("import faulthandler; faulthandler.enable(); faulthandler._sigsegv()")
    assert "Fatal Python error: Segmentation fault" in [line["line"] for line in lines]


def test_an_uncaught_exception_is_one_line_with_its_traceback() -> None:
    lines, exit_code = run("""
def fail():
    raise ValueError("broken")
thread = threading.Thread(target=fail, name="second")
thread.start()
thread.join()
fail()
""")
    assert exit_code == 1
    assert [(line["event"], line.get("thread")) for line in lines] == [
        ("uncaught_exception", "second"),
        ("uncaught_exception", None),
    ]
    assert all("ValueError: broken" in line["exception"] for line in lines)


def test_a_value_in_a_text_log_cannot_begin_a_line_of_its_own() -> None:
    """What clients send is logged as a value, never as the event."""
    ran = subprocess.run(
        [sys.executable, "-c", START + r'structlog.get_logger().info("request", path="/x\nFAKE\x1b[2J")'],
        cwd=ROOT,
        env={**os.environ, "EASEL_LOG_FORMAT": "text"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ran.stderr.splitlines()) == 1
    assert "\x1b" not in ran.stderr


def test_an_exception_that_python_ignores_is_logged() -> None:
    ((line,), _) = run("""
class Broken:
    def __del__(self):
        raise ValueError("broken")
Broken()
""")
    assert line["event"] == "unraisable_exception"
    assert "ValueError: broken" in line["exception"]


def test_a_warning_is_one_line() -> None:
    ((line,), _) = run("warnings.warn('two\\nlines')", PYTHONWARNINGS="default")
    assert (line["level"], line["worker"]) == ("warning", "w1")
    assert "UserWarning: two\nlines" in line["event"]


def test_the_log_goes_on_if_configured_again_in_a_child() -> None:
    lines, _ = run("""
if os.fork() == 0:
    configure_logging(Settings(), worker="w1")
    structlog.get_logger().info("in_child")
    print("printed", flush=True)
    os._exit(0)
os.wait()
""")
    assert sorted(line["event"] for line in lines) == ["in_child", "stdout"]


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("W0000 00:00:1795860693.681009 12685 bfc_allocator.cc:1] Out of memory", "warning"),
        ("E0000 00:00:1795860693.681009 12685 cuda_dnn.cc:1] No device", "error"),
        ("F0000 00:00:1795860693.681009 12685 core.cc:1] Check failed", "critical"),
        ("I0000 00:00:1795860693.681009 12685 port.cc:153] oneDNN custom operations are on.", None),
        ("WARNING: All log messages before absl::InitializeLog() is called are written to STDERR", None),
        ("  ", None),
    ],
)
def test_a_line_of_tensorflow_has_its_level(line: str, level: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    text = to_json(line, "stderr", {})
    assert (json.loads(text)["level"] if text else None) == level


def test_information_of_tensorflow_is_kept_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    assert to_json("I0000 00:00:1795860693.681009 12685 port.cc:153] oneDNN", "stderr", {})


def test_a_line_that_is_json_already_stays_as_it_is() -> None:
    line = '{"event": "gpu_worker_ended", "worker": "w1-gpu0"}'
    assert to_json(line, "stderr", {"worker": "w1"}) == line
    assert json.loads(to_json("[1]", "stderr", {}) or "")["line"] == "[1]"


def test_an_error_at_the_start_is_one_line() -> None:
    ((line,), exit_code) = run("""
from shared.logging import exit_with_error
exit_with_error("EASEL_PORT must be a whole number.", code="invalid")
""")
    assert exit_code == 1
    assert (line["level"], line["detail"], line["code"]) == (
        "critical",
        "EASEL_PORT must be a whole number.",
        "invalid",
    )
