"""The command line of `make chaos`."""

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

from chaos.audit.evidence import Evidence, collect_evidence
from chaos.audit.summary import summarize, violations
from chaos.audit.tables import tables
from chaos.clients.clients import Clients
from chaos.clients.receiver import Receiver
from chaos.faults import FAULTS
from chaos.run import ChaosRun, Schedule
from chaos.stack.stack import ChaosStack, ChaosStackConfig

console = Console(stderr=True)
_ALL_TWICE_SECONDS = 150.0  # with less time, each store gets only half of the faults that both can have


@dataclass(frozen=True)
class Options:
    """The command line's options."""

    jobs: int
    seconds: float
    settle_seconds: float
    seed: int
    stores: tuple[str, ...]
    faults: tuple[str, ...]
    config: ChaosStackConfig


def main(  # noqa: PLR0917 - typer turns each into an option
    jobs: Annotated[int, typer.Option(help="Jobs to submit on each store; 0 keeps the queue busy.")] = 0,
    duration: Annotated[float, typer.Option(help="Seconds with faults, all stores together.")] = 900,
    seed: Annotated[int, typer.Option(help="Seed of all random choices.")] = 0,
    store: Annotated[str, typer.Option(help="local, s3 or both.")] = "both",
    workers: Annotated[int, typer.Option(help="Number of workers with the sleeping engine.")] = 6,
    faults: Annotated[str, typer.Option(help="Inject only these faults (names separated by commas).")] = "",
    tensorflow: Annotated[bool, typer.Option(help="Run some jobs with the real engine, too.")] = True,  # noqa: FBT002 - typer's own
    settle_seconds: Annotated[
        float, typer.Option(help="Seconds without progress after the faults until unfinished jobs count as lost.")
    ] = 90,
    broken_fence: Annotated[  # noqa: FBT002 - typer's own
        bool, typer.Option(envvar="CHAOS_BROKEN_FENCE", help="Disable the ledger's fencing: the audit must notice.")
    ] = False,
    out: Annotated[Path, typer.Option(help="File for the JSON line that is also printed.")] = Path("out/chaos.json"),
) -> None:
    """Inject faults into the real stack while jobs run, and audit every job."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    stores = ("local", "s3") if store == "both" else (store,)
    names = tuple(name for name in faults.split(",") if name)
    folder = Path(tempfile.mkdtemp(prefix="easel-chaos-"))
    references = _render_references(folder) if tensorflow else None
    config = ChaosStackConfig(workers=workers, references=references, broken_fence=broken_fence)
    options = Options(jobs, duration, settle_seconds, seed, stores, names, config)
    evidence_by_store = [_run_on_store(options, folder, number) for number in range(len(stores))]
    summary, broken = summarize(evidence_by_store), violations(evidence_by_store)
    for table in tables(summary):
        console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(summary) + "\n")
    print(json.dumps(summary))  # noqa: T201 - for scripts
    for violation in broken:
        console.print(f"[red]{violation}[/red]", soft_wrap=True, highlight=False)
    if broken:
        console.print(f"Logs, blobs and the append-only files of this run are in {folder}.", soft_wrap=True)
        raise SystemExit(1)
    shutil.rmtree(folder)


def _run_on_store(options: Options, folder: Path, number: int) -> Evidence:
    """Start one stack, run its schedule, and collect the evidence."""
    kind = options.stores[number]
    home = folder / kind
    home.mkdir()
    with ChaosStack(home, replace(options.config, store=kind)) as stack, Receiver(stack.webhook_secrets) as receiver:
        clients = Clients(stack.url, stack.api_keys, receiver)
        schedule = _schedule(options, number)
        run = ChaosRun(stack, clients, schedule, options.seed)
        with _progress(run, clients, kind):
            run.execute()
        clients.stop()
        return collect_evidence(stack, clients, schedule.required_faults)


def _schedule(options: Options, number: int) -> Schedule:
    kind, seconds = options.stores[number], options.seconds / len(options.stores)
    possible = [name for name, fault in FAULTS.items() if kind in fault.stores]
    if options.faults:
        required = [name for name in possible if name in options.faults]
        return Schedule(seconds, required, options.jobs, options.settle_seconds, only_required=True)
    on_any_store = [name for name, fault in FAULTS.items() if len(fault.stores) > 1]
    share = on_any_store[number :: len(options.stores)] if seconds < _ALL_TWICE_SECONDS else on_any_store
    required = [name for name in possible if name in share or name not in on_any_store]
    kills_per_second = options.config.workers / 2
    return Schedule(seconds, required, options.jobs, options.settle_seconds, kills_per_second=kills_per_second)


def _render_references(folder: Path) -> Path:
    """Write random weights, and the digests of TensorFlow's images in runs without faults."""
    with console.status("rendering reference images"):
        subprocess.run([sys.executable, "-m", "chaos.clients.images", str(folder)], check=True, capture_output=True)
    return folder


@contextmanager
def _progress(run: ChaosRun, clients: Clients, kind: str) -> Iterator[None]:
    """Show one line of status while the block runs."""
    finished = threading.Event()
    with console.status(kind) as status:

        def show() -> None:
            while not finished.wait(0.5):
                kills, unfinished = sum(run.stack.fault_log.kills.values()), len(clients.unfinished())
                faults = ", ".join(sorted(set(run.active_faults))) or "no fault"
                counts = f"{len(clients.accepted)} jobs, {unfinished} unfinished, {kills} kills"
                status.update(f"{kind}: {counts}, {run.seconds_left:.0f} s left: {faults}")

        thread = threading.Thread(target=show, daemon=True)
        thread.start()
        try:
            yield
        finally:
            finished.set()
            thread.join()


if __name__ == "__main__":
    typer.run(main)
