"""`python -m benchmarks.service`: the service's half of `make bench`, ended by its figures as one line of JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.attempts import Attempts
from benchmarks.service.all import measure


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, and no estimates.")] = False,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("out/bench"),
) -> None:
    """Measure polls, watchers, lists, submissions and workers side by side."""
    attempts = Attempts(console := Console(stderr=True))
    found = measure(attempts, quick=quick, out=out, console=console)
    print(json.dumps({key: figure.row() for key, figure in found.items()}))  # noqa: T201 - for scripts
    raise typer.Exit(attempts.failed)


if __name__ == "__main__":
    typer.run(main)
