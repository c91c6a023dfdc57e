"""`easel watch` on three kinds of terminals, which the test simulates at the other end of a pseudo-terminal."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from typing import Any

import pytest
from PIL import Image
from support.requirements import ROOT
from support.scripted_server import JOB, Responder, event_stream, format_events, reply, serve, state_event

SIXEL, KITTY, HALF_BLOCKS = r"\x1bP[\d;]*q", r"\x1b_Gi=\d+,m=0", r"\x1b\[38;2;20\d;\d+;\d+;48;2;20\d;\d+;\d+m▀"
TERMINALS: dict[str, tuple[Mapping[bytes, bytes], str]] = {
    "sixels": ({b"\x1b[c": b"\x1b[?62;4c"}, SIXEL),
    "kitty": ({b"\x1b[c": b"\x1b[?62c", b"a=q": b"\x1b_Gi=1;OK\x1b\\"}, KITTY),
    "neither": ({b"\x1b[c": b"\x1b[?62c"}, HALF_BLOCKS),
}


def preview_jpeg() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 120, 40)).save(target, "JPEG", quality=95)
    return target.getvalue()


def respond(handler: Any) -> None:
    """Every job has a preview, and ends after its stream was read."""
    job_id = handler.path.split("/")[3]
    job = {**JOB, "id": job_id, "urls": {"preview": "a URL"}}
    preview = "1-0", "preview", {"step": 3, "url": "a URL"}
    responder: Responder
    if handler.path.endswith("/events"):
        responder = event_stream(format_events(preview, state_event("2-0", "succeeded")))
        handler.server.ended = True
    elif handler.path.endswith("/preview"):
        responder = reply(preview_jpeg())
    else:
        responder = reply({**job, "state": "succeeded" if getattr(handler.server, "ended", False) else "running"})
    responder(handler)


COMMAND = "from easel.cli import main; main()"


def run_on_terminal(
    replies: Mapping[bytes, bytes],
    *arguments: str,
    command: str = COMMAND,
    code: int = 0,
    size: tuple[int, int] = (24, 80),
    term: str = "xterm-256color",
) -> str:
    """Run the command on a terminal of `size` rows and columns that replies to queries, and return its output."""
    test_end, command_end = pty.openpty()
    fcntl.ioctl(command_end, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 800, 480))
    environment = {**os.environ, "TERM": term, "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    argv = [sys.executable, "-c", command, *arguments]
    with subprocess.Popen(argv, stdin=command_end, stdout=command_end, stderr=command_end, env=environment) as process:
        os.close(command_end)
        output, pending = b"", dict(replies)
        try:
            while chunk := os.read(test_end, 65_536):
                output += chunk
                for query in [query for query in pending if query in output]:
                    os.write(test_end, pending.pop(query))
        except OSError:  # the other end was closed
            pass
    os.close(test_end)
    assert process.returncode == code, output.decode()
    return output.decode()


@pytest.mark.parametrize(("replies", "expected"), TERMINALS.values(), ids=TERMINALS)
def test_a_preview_is_shown_by_the_terminals_best_protocol(replies: Mapping[bytes, bytes], expected: str) -> None:
    with serve(respond) as server:
        output = run_on_terminal(replies, "--url", server.url, "watch", "a")
    assert re.search(expected, output)
    others = {SIXEL, KITTY, HALF_BLOCKS} - {expected}
    assert not any(re.search(other, output) for other in others)
    assert "a succeeded after 3 steps." in output


def test_a_few_previews_are_shown_in_one_row_and_many_are_not() -> None:
    replies, _ = TERMINALS["neither"]
    with serve(respond) as server:
        output = run_on_terminal(replies, "--url", server.url, "watch", "a", "b")
        assert re.search(HALF_BLOCKS, output)
        assert "▀" not in run_on_terminal(replies, "--url", server.url, "watch", *"abcde")


def test_previews_can_be_turned_off() -> None:
    with serve(respond) as server:
        output = run_on_terminal({}, "--url", server.url, "watch", "--no-previews", "a")
        assert "▀" not in output
        assert not any("preview" in request.path for request in server.requests)
    assert "\x1b[c" not in output


@pytest.mark.parametrize("terminal", [{"size": (0, 0)}, {"term": "dumb"}], ids=["no size", "dumb"])
def test_a_terminal_without_images_shows_the_rest(terminal: Any) -> None:
    with serve(respond) as server:
        output = run_on_terminal({}, "--url", server.url, "watch", "a", **terminal)
    assert "▀" not in output
    assert "a succeeded after 3 steps." in output


@pytest.mark.parametrize(("option", "code"), [(None, 0), ("--previews", 2)])
def test_the_missing_extra_is_an_error_only_if_previews_are_required(option: str | None, code: int) -> None:
    command = f"import sys; sys.modules['textual_image'] = None; {COMMAND}"
    with serve(respond) as server:
        options = [option] if option else []
        output = run_on_terminal({}, "--url", server.url, "watch", "a", *options, command=command, code=code)
    assert ("pip install 'easel-client[images]'" in output) == bool(code)
