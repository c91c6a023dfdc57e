"""`make chaos`."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from chaos.crowd import Crowd
from chaos.evidence import Evidence, gather
from chaos.faults import FAULTS
from chaos.figures import figures, violations
from chaos.plan import Director, Plan
from chaos.table import tables
from chaos.world import Cast, World

console = Console(stderr=True)
_ALL_TWICE_SECONDS = 150.0  # a world that has less goes through half of the faults that any store can have


@dataclass(frozen=True)
class Options:
    """As a person asks."""

    jobs: int
    seconds: float
    peace: float
    seed: int
    stores: tuple[str, ...]
    faults: tuple[str, ...]
    cast: Cast


def main(  # noqa: PLR0917 - typer turns each into an option
    jobs: Annotated[int, typer.Option(help="Submitted in each world; 0 keeps the line busy.")] = 0,
    duration: Annotated[float, typer.Option(help="Seconds, of all worlds together.")] = 900,
    seed: Annotated[int, typer.Option(help="Of every choice.")] = 0,
    store: Annotated[str, typer.Option(help="local, s3 or both.")] = "both",
    workers: Annotated[int, typer.Option(help="That sleep.")] = 6,
    faults: Annotated[str, typer.Option(help="Only these, separated by commas.")] = "",
    paint: Annotated[bool, typer.Option(help="With a sample of TensorFlow jobs.")] = True,  # noqa: FBT002 - typer's own
    peace: Annotated[float, typer.Option(help="Seconds without a step, after which jobs count as lost.")] = 90,
    broken_fence: Annotated[bool, typer.Option(envvar="CHAOS_BROKEN_FENCE", help="The report must say so.")] = False,  # noqa: FBT002 - the same
    out: Annotated[Path, typer.Option(help="Where the JSON line goes, too.")] = Path("out/chaos.json"),
) -> None:
    """Hurt the real stack in every way we know, and audit what became of every job."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    stores = ("local", "s3") if store == "both" else (store,)
    wanted = tuple(name for name in faults.split(",") if name)
    cast = Cast(workers=workers, broken_fence=broken_fence)
    folder = Path(tempfile.mkdtemp(prefix="easel-chaos-"))
    cast = replace(cast, paintings=_paintings(folder) if paint else None)
    options = Options(jobs, duration, peace, seed, stores, wanted, cast)
    evidences = [_live_through(options, folder, number) for number in range(len(stores))]
    found, broken = figures(evidences), violations(evidences)
    for table in tables(found):
        console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found) + "\n")
    print(json.dumps(found))  # noqa: T201 - for scripts
    for told in broken:
        console.print(f"[red]{told}[/red]", soft_wrap=True, highlight=False)
    if broken:
        console.print(f"All that is left of the run lies in {folder}.", soft_wrap=True)
        raise SystemExit(1)
    shutil.rmtree(folder)


def _live_through(options: Options, folder: Path, number: int) -> Evidence:
    """One world, from its start to its audit."""
    kind = options.stores[number]
    home = folder / kind
    home.mkdir()
    with World(home, replace(options.cast, store=kind)) as world:
        crowd = Crowd(world.url)
        plan = _plan(options, number)
        director = Director(world, crowd, plan, options.seed)
        with _progress(director, crowd, kind):
            director.run()
        crowd.stop()
        return gather(world, crowd.accepted, plan.due)


def _plan(options: Options, number: int) -> Plan:
    kind, seconds = options.stores[number], options.seconds / len(options.stores)
    fit = [name for name, one in FAULTS.items() if kind in one.stores]
    if options.faults:
        return Plan(seconds, [name for name in fit if name in options.faults], options.jobs, options.peace, only=True)
    everywhere = [name for name, one in FAULTS.items() if len(one.stores) > 1]
    mine = everywhere[number :: len(options.stores)] if seconds < _ALL_TWICE_SECONDS else everywhere
    due = [name for name in fit if name in mine or name not in everywhere]
    return Plan(seconds, due, options.jobs, options.peace, kills_per_second=options.cast.workers / 2)


def _paintings(folder: Path) -> Path:
    """Weights, and what TensorFlow paints with them when nobody disturbs it."""
    with console.status("painting undisturbed"):
        subprocess.run([sys.executable, "-m", "chaos.pictures", str(folder)], check=True, capture_output=True)
    return folder


@contextmanager
def _progress(director: Director, crowd: Crowd, kind: str) -> Iterator[None]:
    """One line that says how it stands."""
    over = threading.Event()
    with console.status(kind) as status:

        def show() -> None:
            while not over.wait(0.5):
                kills, waiting = sum(director.world.notes.kills.values()), len(crowd.waiting_for())
                faults = ", ".join(sorted(set(director.at_hand))) or "peace"
                told = f"{kind}: {len(crowd.accepted)} jobs, {waiting} open, {kills} kills, {director.left:.0f} s left"
                status.update(f"{told}: {faults}")

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


if __name__ == "__main__":
    typer.run(main)
