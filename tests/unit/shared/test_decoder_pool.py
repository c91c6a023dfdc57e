"""Uploads are decoded in processes that can be killed."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
from support.requirements import PYTHONPATH, ROOT

from shared.errors import BrokenImage, ImageTooLarge, ImageTooSlow, ImageTooSmall, ServerBusy
from shared.imaging import images
from shared.inputs.decoder_pool import DecoderPool
from shared.settings import Settings


@pytest.fixture(scope="module")
def decoder() -> DecoderPool:
    return DecoderPool(Settings(decode_bytes=2**28))


def test_a_function_that_takes_too_long_is_ended_and_the_next_one_runs() -> None:
    decoder = DecoderPool(Settings(decode_seconds=0.5))
    with decoder.slot("a client") as decode, pytest.raises(ImageTooSlow, match=r"longer than 0\.5 s"):
        decode(time.sleep, 600)
    with decoder.slot("a client") as decode:
        assert decode(len, "abc") == 3


def test_uploads_are_decoded_after_an_idle_process_was_killed() -> None:
    decoder = DecoderPool(Settings(decode_seconds=1))
    with decoder.slot("a client") as decode:
        process = decode(os.getpid)
    child = os.pidfd_open(process)
    os.kill(process, signal.SIGKILL)
    assert has_ended(child)
    with suppress(ServerBusy), decoder.slot("a client") as decode:  # if it was killed while it held a lock
        assert decode(len, "abc") == 3
    for _ in range(3):
        with decoder.slot("a client") as decode:
            assert decode(len, "abc") == 3


def test_a_function_that_takes_too_much_memory_is_refused(decoder: DecoderPool) -> None:
    with decoder.slot("a client") as decode, pytest.raises(ImageTooLarge, match="more than 256 MiB"):
        decode(bytearray, 2**30)


def test_a_crash_is_a_broken_image(decoder: DecoderPool) -> None:
    with decoder.slot("a client") as decode, pytest.raises(BrokenImage, match="ended the process"):
        decode(os.abort)


def test_errors_come_back_as_they_were_raised(decoder: DecoderPool) -> None:
    with decoder.slot("a client") as decode, pytest.raises(ImageTooSmall, match="8 x 9 pixels"):
        decode(images.check_size, (8, 9), 1000)


@pytest.fixture
def wait(decoder: DecoderPool) -> Iterator[Callable[[str], Future[None]]]:
    """Start a request of a client that waits for a process."""
    with ThreadPoolExecutor(8) as threads:

        def enter(name: str) -> None:
            with decoder.slot(name):
                pass

        def start(name: str) -> Future[None]:
            before = decoder._waiting.total()
            future = threads.submit(enter, name)
            while decoder._waiting.total() == before and not future.done():
                threading.Event().wait(0.01)
            return future

        yield start


def test_one_client_cannot_hold_all_processes(decoder: DecoderPool, wait: Callable[[str], Future[None]]) -> None:
    with decoder.slot("a client"):
        second = wait("a client")
        wait("another client").result(60)
        assert not second.done()
    second.result(60)
    assert not decoder._waiting
    assert not decoder._running


def test_a_client_with_too_many_waiting_uploads_is_told_to_try_again(
    decoder: DecoderPool, wait: Callable[[str], Future[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "_max_waiting", 2)
    with decoder.slot("a client"):
        first, second = wait("a client"), wait("a client")
        with pytest.raises(ServerBusy, match="Too many images wait"):
            wait("a client").result(60)
        wait("another client").result(60)
    first.result(60)
    second.result(60)


PROGRAM = """
import os, sys
from shared.inputs.decoder_pool import DecoderPool
from shared.settings import Settings
if __name__ == "__main__":
    with DecoderPool(Settings()).slot("a client") as decode:
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
    assert has_ended(child), "a process is left"


def has_ended(process: int) -> bool:
    """Wait until the process of a pidfd has ended."""
    poll = select.poll()  # select takes no descriptor above 1,023
    poll.register(process, select.POLLIN)
    ended = bool(poll.poll(60_000))
    os.close(process)
    return ended
