"""Counters and histograms of a forked process, and the server for processes without another."""

import os
import signal
import socket
import subprocess
import sys
import threading

import httpx2
import pytest
from support.requirements import ROOT

from deploy.local.stack import free_port
from shared.metrics import pipe
from shared.metrics.server import start_metrics_server
from shared.metrics.services import REDIS_ERRORS
from shared.settings import InvalidSettings, Settings

FORKING = """
import os, signal, sys
from prometheus_client import generate_latest
from shared.metrics.instruments import REGISTRY, Counter, Histogram
from shared.metrics.pipe import MetricsPipe

counter = Counter("test_total", "A test.", ("label",))
histogram = Histogram("test_seconds", "A test.", buckets=(1, 2))
pipe = MetricsPipe()
for child in range(2):
    if os.fork() == 0:
        pipe.use_in_child()
        for _ in range(300):
            counter.inc(label="x")
            histogram.observe(1.5)
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
os.close(pipe._write_end)  # so that the thread's loop ends
counter.inc(label="x")
pipe._run()
print(generate_latest(REGISTRY).decode())
"""


def test_what_killed_children_counted_is_added_to_their_parents_metrics() -> None:
    done = subprocess.run([sys.executable, "-c", FORKING], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert 'test_total{label="x"} 601.0' in lines
    assert {'test_seconds_bucket{le="1.0"} 0.0', 'test_seconds_bucket{le="2.0"} 600.0'} <= set(lines)


def test_a_parent_that_does_not_read_neither_stops_its_child_nor_loses_its_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    received: list[float] = []
    monkeypatch.setattr(pipe, "apply_change", lambda _name, value, _labels: received.append(value))
    metrics_pipe = pipe.MetricsPipe()
    for number in range(5000):  # more than a pipe holds
        metrics_pipe._send("test_total", number, ("a label that makes the line longer",))
    reader = threading.Thread(target=metrics_pipe._run)
    reader.start()
    while metrics_pipe._pending:
        metrics_pipe._send("test_total", 0, ())
    os.close(metrics_pipe._write_end)
    reader.join()
    assert [value for value in received if value] == [*range(1, 5000)]


def test_a_wrong_set_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="labels"):
        REDIS_ERRORS.inc(code="ledger_lost", other="x")


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidSettings, match=f"EASEL_METRICS_PORT={port} .*Address already in use"):
            start_metrics_server(Settings(metrics_port=port))


def test_without_a_port_nothing_is_served() -> None:
    assert start_metrics_server(Settings()) is None


def test_a_worker_whose_port_is_in_use_ends_with_one_line() -> None:
    command = ("worker", "start", "--name", "one@test")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        environment = {**os.environ, "EASEL_METRICS_PORT": str(taken.getsockname()[1])}
        ended = subprocess.run(
            [sys.executable, "-m", *command], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
        )
    assert ended.returncode == 1
    assert "EASEL_METRICS_PORT" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_metrics_are_served_at_the_port_on_loopback_only() -> None:
    port = free_port()
    environment = {**os.environ, "EASEL_METRICS_PORT": str(port), "EASEL_REDIS_URL": "redis://127.0.0.1:1/0"}
    process = subprocess.Popen(
        [sys.executable, "-m", "worker", "reaper"], env=environment, cwd=ROOT, stderr=subprocess.DEVNULL
    )
    try:
        while True:
            try:
                text = httpx2.get(f"http://127.0.0.1:{port}/metrics").text
                break
            except httpx2.TransportError:
                assert process.poll() is None
        assert "easel_reaper_failed_rounds_total" in text
        with pytest.raises(OSError, match="refused"), socket.create_connection(("127.0.0.2", port)):
            pass
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
