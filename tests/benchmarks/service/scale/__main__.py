"""`python -m benchmarks.service.scale`: `make scale`. The last line is the result as JSON."""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Final

import structlog
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.service.scale.load import Load
from benchmarks.service.scale.network import HUB_VARIABLE, missing_requirement, run_in_hub
from benchmarks.service.scale.phases import Run
from benchmarks.service.scale.stack import LEASE_SECONDS, ScaleStack

console = Console(stderr=True)
_BESIDE_TENSORFLOW: Final = 2  # simulated workers, so that TensorFlow has the machine's cores
_BEGAN: Final = time.monotonic()


def main(
    workers: Annotated[int, typer.Option(help="Largest number of simulated workers: 1, 2, 4 ... up to it.")] = 64,
    steps: Annotated[int, typer.Option(help="Steps of a job, of 0.4 s each.")] = 40,
    tensorflow: Annotated[bool, typer.Option(help="Also run two workers with TensorFlow.")] = True,  # noqa: FBT002 - typer's own
    out: Annotated[Path, typer.Option(help="File for the JSON line that is also printed.")] = Path("out/scale.json"),
) -> None:
    """Let workers on separate networks join, leave and be cut off under load, and account for every job."""
    if HUB_VARIABLE not in os.environ:
        if missing := missing_requirement():
            console.print(f"make scale needs network namespaces. {missing}", soft_wrap=True)
            raise typer.Exit(2)
        raise typer.Exit(run_in_hub([sys.executable, "-m", "benchmarks.service.scale", *sys.argv[1:]]))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    folder = Path(tempfile.mkdtemp(prefix="easel-scale-"))
    (folder / "log").mkdir()
    with console.status("starting Valkey, S3 and a reaper") as status, ScaleStack(folder) as stack:
        with Load(stack, steps) as load:
            run = Run(stack, load, report=lambda text: _report(status, text))
            run.join_in_levels([2**power for power in range(workers.bit_length()) if 2**power <= workers])
            if workers > 1:
                run.leave(workers // 2)
                run.cut_off(max(1, workers // 8), LEASE_SECONDS + 7)
            if len(stack.running) > _BESIDE_TENSORFLOW:
                run.leave(len(stack.running) - _BESIDE_TENSORFLOW)
            if tensorflow:
                run.render_with_tensorflow()
        run.return_and_settle(workers // 2)
        accounts = run.close_accounts()
    console.print(_table(run.result))
    line = json.dumps(run.result)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(line + "\n")
    print(line)  # noqa: T201 - for scripts
    if not accounts.clean:
        console.print(*accounts.notes[:20], f"Logs and data are in {folder}.", sep="\n", soft_wrap=True)
        raise typer.Exit(1)
    shutil.rmtree(folder)


def _report(status: Any, text: str) -> None:
    """Show what is done now: as a status line, or, without a terminal, as one line each."""
    status.update(text)
    if not console.is_terminal and not text.endswith("left"):
        console.print(f"{time.monotonic() - _BEGAN:4.0f} s  {text}")


def _table(result: dict[str, Any]) -> Table:
    table = Table(title="Workers on separate networks", show_header=False)
    for name, value in result.items():
        text = ", ".join(f"{key}: {part}" for key, part in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), text.replace("_", " "))
    return table


if __name__ == "__main__":
    typer.run(main)
