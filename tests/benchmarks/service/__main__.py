"""`python -m benchmarks.service`: the service's part of `make bench`. The last line is its figures as JSON."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.measurement_runner import MeasurementRunner
from benchmarks.service.suite import measure


def main(
    quick: Annotated[bool, typer.Option(help="Fewer rounds, and no estimates.")] = False,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="Folder for the charts.")] = Path("out/bench"),
) -> None:
    """Measure polls, watchers, lists, submissions, scaling and estimates."""
    runner = MeasurementRunner(console := Console(stderr=True))
    figures = measure(runner, quick=quick, out=out, console=console)
    print(json.dumps({key: figure.row() for key, figure in figures.items()}))  # noqa: T201 - for scripts
    raise typer.Exit(runner.failed)


if __name__ == "__main__":
    typer.run(main)
