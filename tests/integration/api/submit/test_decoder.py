"""Uploads are decoded in processes that can be killed."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from flask import Flask, g
from support.requirements import PYTHONPATH, ROOT

from api.http.callers import Caller
from api.imaging.decoder import Decoder
from shared.errors import BrokenImage, ImageTooLarge, ImageTooSlow, ImageTooSmall
from shared.imaging import images
from shared.settings import Settings

app = Flask("test")


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    decoder = Decoder(Settings(decode_seconds=0.5, decode_bytes=2**28))
    yield decoder
    decoder.start().stop()


@pytest.fixture(autouse=True)
def client() -> Iterator[None]:
    with app.app_context():
        g.caller = Caller("a client")
        yield


def test_a_function_that_takes_too_long_is_ended_and_the_next_one_runs(decoder: Decoder) -> None:
    with decoder.slot() as decode, pytest.raises(ImageTooSlow, match=r"longer than 0\.5 s"):
        decode(time.sleep, 600)
    with decoder.slot() as decode:
        assert decode(len, "abc") == 3


def test_a_function_that_takes_too_much_memory_is_refused(decoder: Decoder) -> None:
    with decoder.slot() as decode, pytest.raises(ImageTooLarge, match="more than 256 MiB"):
        decode(bytearray, 2**30)


def test_a_crash_is_a_broken_image(decoder: Decoder) -> None:
    with decoder.slot() as decode, pytest.raises(BrokenImage, match="ended the process"):
        decode(os.abort)


def test_errors_come_back_as_they_were_raised(decoder: Decoder) -> None:
    with decoder.slot() as decode, pytest.raises(ImageTooSmall, match="8 x 9 pixels"):
        decode(images.check_size, (8, 9), 1000)


def test_one_client_cannot_hold_all_processes(decoder: Decoder) -> None:
    entered = threading.Event()

    def enter_again() -> None:
        with app.app_context():
            g.caller = Caller("a client")
            with decoder.slot():
                entered.set()

    thread = threading.Thread(target=enter_again)
    with decoder.slot():
        thread.start()
        with app.app_context():
            g.caller = Caller("another client")
            with decoder.slot() as decode:
                assert decode(len, "abc") == 3
        assert not entered.is_set()
    thread.join(60)
    assert entered.is_set()


PROGRAM = """
import os, sys
from flask import Flask, g
from api.http.callers import Caller
from api.imaging.decoder import Decoder
from shared.settings import Settings
if __name__ == "__main__":
    with Flask("test").app_context():
        g.caller = Caller("a client")
        with Decoder(Settings()).slot() as decode:
            print(decode(os.getpid), flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child that its parent ended")
@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_the_processes_end_with_the_api(signal_number: signal.Signals) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert program.stdout
    child = os.pidfd_open(int(program.stdout.readline()))
    program.send_signal(signal_number)
    program.communicate()
    ended, _, _ = select.select([child], [], [], 60)
    assert ended, "a process is left"
    os.close(child)
