"""Log lines for what is written past `logging`: by TensorFlow's C++, by Celery at its end, in a crash.

A process of its own turns each line into JSON. A thread would lose the last lines before a crash, which say most.
Only the standard library is imported: run as a script, this module is that process.
"""

import json
import os
import re
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from typing import Final, TextIO

_ABSL_PREFIX: Final = re.compile(r"([IWEF])\d{4} ")
_ABSL_LEVELS: Final = {"I": "info", "W": "warning", "E": "error", "F": "critical"}
_ABSL_NOTE: Final = "WARNING: All log messages before absl::InitializeLog()"
_MAX_LINE: Final = 64 * 1024


@cache
def capture(fields: str) -> TextIO:
    """Redirect file descriptors 1 and 2, and return the stderr that was there, for lines that are JSON already.

    `fields` is a JSON object that each line gets. Children inherit the redirection.
    """
    stderr = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    os.set_inheritable(out_read, True)  # noqa: FBT003 - os's own signature
    os.set_inheritable(err_read, True)  # noqa: FBT003 - the same
    # -I: this folder, which has a module `logging`, must not be on the path.
    command = [sys.executable, "-I", "-S", __file__, fields, str(out_read), str(err_read)]
    # A session of its own, so that Ctrl-C does not end it before the others. It ends by itself, after them.
    os.posix_spawn(sys.executable, command, os.environ, setsid=True)
    os.dup2(out_write, 1)
    os.dup2(err_write, 2)
    for descriptor in (out_read, out_write, err_read, err_write):
        os.close(descriptor)
    return stderr


def to_json(line: str, stream: str, fields: dict[str, str]) -> str | None:
    """Return a line of `stream`, stdout or stderr, as a log line; None for one that says nothing."""
    if not line or line.isspace() or line.startswith(_ABSL_NOTE):
        return None
    if _is_json_object(line):  # of a process with its own logging
        return line
    level = "info" if stream == "stdout" else "warning"
    if absl := _ABSL_PREFIX.match(line):
        level = _ABSL_LEVELS[absl[1]]
        if level == "info" and os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0") != "0":  # some lines come regardless
            return None
    timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return json.dumps({**fields, "line": line, "event": stream, "level": level, "timestamp": timestamp})


def _is_json_object(line: str) -> bool:
    try:
        return line.startswith("{") and isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _forward(descriptor: str, stream: str, fields: dict[str, str]) -> None:
    """Write each line as JSON until all processes have closed the stream."""
    with os.fdopen(int(descriptor), "rb") as source:
        while line := source.readline(_MAX_LINE):
            if text := to_json(line.decode(errors="backslashreplace").rstrip("\r\n"), stream, fields):
                with suppress(OSError):  # if the log is closed, the writers must go on
                    os.write(2, f"{text}\n".encode())


def _main() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # it ends after the processes whose lines it reads
        signal.signal(number, signal.SIG_IGN)
    fields, stdout, stderr = json.loads(sys.argv[1]), *sys.argv[2:]
    threading.Thread(target=_forward, args=(stderr, "stderr", fields)).start()
    _forward(stdout, "stdout", fields)


if __name__ == "__main__":
    _main()
