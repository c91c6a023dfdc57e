"""`easel watch` on terminals of three kinds, each played by the test at the other end of a pseudo-terminal."""

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
from support.scripted_server import JOB, Answer, says, serving, sse, streams

SIXEL, KITTY, HALF_BLOCKS = r"\x1bP[\d;]*q", r"\x1b_Gi=\d+,m=0", r"\x1b\[38;2;20\d;\d+;\d+;48;2;20\d;\d+;\d+m▀"
TERMINALS: dict[str, tuple[Mapping[bytes, bytes], str]] = {
    "sixels": ({b"\x1b[c": b"\x1b[?62;4c"}, SIXEL),
    "kitty": ({b"\x1b[c": b"\x1b[?62c", b"a=q": b"\x1b_Gi=1;OK\x1b\\"}, KITTY),
    "neither": ({b"\x1b[c": b"\x1b[?62c"}, HALF_BLOCKS),
}


def painted() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 120, 40)).save(target, "JPEG", quality=95)
    return target.getvalue()


def answer(handler: Any) -> None:
    """Every job has a picture, and ends with the first look at it."""
    job_id = handler.path.split("/")[3]
    job = {**JOB, "id": job_id, "urls": {"preview": "there"}}
    ends = sse(("1-0", "preview", {"step": 3}), ("2-0", "state", {"state": "succeeded"}))
    told: Answer
    if handler.path.endswith("/events"):
        told = streams(ends)
        handler.server.over = True
    elif handler.path.endswith("/preview"):
        told = says(painted())
    else:
        told = says({**job, "state": "succeeded" if getattr(handler.server, "over", False) else "running"})
    told(handler)


COMMAND = "from easel.cli import main; main()"


def on_a_terminal(
    replies: Mapping[bytes, bytes],
    *arguments: str,
    command: str = COMMAND,
    code: int = 0,
    size: tuple[int, int] = (24, 80),
    term: str = "xterm-256color",
) -> str:
    """All that the command writes to a terminal of so many rows and columns that answers questions like this."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 800, 480))
    environment = {**os.environ, "TERM": term, "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
    start = [sys.executable, "-c", command, *arguments]
    with subprocess.Popen(start, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written, asked = b"", dict(replies)
        try:
            while chunk := os.read(ours, 65_536):
                written += chunk
                for question in [one for one in asked if one in written]:
                    os.write(ours, asked.pop(question))
        except OSError:  # the other end was closed
            pass
    os.close(ours)
    assert process.returncode == code, written.decode()
    return written.decode()


@pytest.mark.parametrize(("replies", "drawn"), TERMINALS.values(), ids=TERMINALS)
def test_the_picture_is_shown_as_the_terminal_can_show_it(replies: Mapping[bytes, bytes], drawn: str) -> None:
    with serving(answer) as server:
        said = on_a_terminal(replies, "--url", server.url, "watch", "a")
    assert re.search(drawn, said)
    others = {SIXEL, KITTY, HALF_BLOCKS} - {drawn}
    assert not any(re.search(other, said) for other in others)
    assert "a succeeded after 3 steps." in said


def test_a_few_pictures_stand_in_one_row_and_many_are_left_out() -> None:
    replies, _ = TERMINALS["neither"]
    with serving(answer) as server:
        said = on_a_terminal(replies, "--url", server.url, "watch", "a", "b")
        assert re.search(HALF_BLOCKS, said)
        assert "▀" not in on_a_terminal(replies, "--url", server.url, "watch", *"abcde")


def test_pictures_can_be_refused() -> None:
    with serving(answer) as server:
        said = on_a_terminal({}, "--url", server.url, "watch", "--no-pictures", "a")
        assert "▀" not in said
        assert not any("preview" in path for _, path, _, _ in server.seen)
    assert "\x1b[c" not in said


@pytest.mark.parametrize("terminal", [{"size": (0, 0)}, {"term": "dumb"}], ids=["of no size", "that is dumb"])
def test_a_terminal_that_cannot_show_pictures_shows_the_rest(terminal: Any) -> None:
    with serving(answer) as server:
        said = on_a_terminal({}, "--url", server.url, "watch", "a", **terminal)
    assert "▀" not in said
    assert "a succeeded after 3 steps." in said


@pytest.mark.parametrize(("option", "code"), [(None, 0), ("--pictures", 2)])
def test_where_the_extra_is_not_installed_pictures_are_missed_only_if_asked_for(option: str | None, code: int) -> None:
    command = f"import sys; sys.modules['textual_image'] = None; {COMMAND}"
    with serving(answer) as server:
        options = [option] if option else []
        said = on_a_terminal({}, "--url", server.url, "watch", "a", *options, command=command, code=code)
    assert ("pip install 'easel[pictures]'" in said) == bool(code)
