"""A reader for Valkey's append-only file: every write in order, grouped into transactions."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

Command = list[bytes]

_BUFFER: Final = 1 << 20


def transactions(folder: Path) -> Iterator[list[Command]]:
    """Yield each transaction's commands; a command outside MULTI is a transaction by itself.

    `folder` is the server's --dir. An incomplete last transaction is skipped: it never happened. Raises ValueError
    if the file was rewritten, because its beginning is lost then, and if it is not an append-only file.
    """
    pending: list[Command] | None = None
    for command in _commands(folder):
        match command[0].upper():
            case b"MULTI":
                pending = []
            case b"EXEC":
                yield pending or []
                pending = None
            case _ if pending is not None:
                pending.append(command)
            case _:
                yield [command]


def _commands(folder: Path) -> Iterator[Command]:
    for path in _parts(folder / "appendonlydir"):
        with path.open("rb", buffering=_BUFFER) as file:
            yield from _parsed(file)


def _parts(folder: Path) -> list[Path]:
    """Return the files that contain commands; the manifest has lines like "file NAME seq 1 type i"."""
    (manifest,) = folder.glob("*.manifest")
    parts = [line.split() for line in manifest.read_text().splitlines() if line]
    if any(part[5] == "b" and part[3] != "1" for part in parts):
        raise ValueError(f"{folder} was rewritten; start the server with --auto-aof-rewrite-percentage 0.")
    return [folder / part[1] for part in parts if part[5] == "i"]


def _parsed(file: BinaryIO) -> Iterator[Command]:
    """Yield commands ("*2\\r\\n$3\\r\\nDEL\\r\\n$1\\r\\na\\r\\n") as byte strings, up to the end or a cut."""
    readline, read = file.readline, file.read
    while (head := readline()).endswith(b"\r\n"):
        if head[:1] == b"#":  # an annotation
            continue
        if head[:1] != b"*":
            raise ValueError(f"{file.name} holds {head[:40]!r} instead of the start of a command.")
        command = []
        for _ in range(int(head[1:])):
            size = readline()
            if not size.endswith(b"\r\n"):
                return
            word = read(int(size[1:]) + 2)
            command.append(word[:-2])
        if len(word) < int(size[1:]) + 2:
            return
        yield command
