"""`easel-worker`: run a worker or a reaper, or the engine alone with no server at all."""

import json
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from shared.errors import EaselError
from shared.logging import configure_logging
from shared.recipe import Recipe, resolve
from shared.recovery import job_files
from shared.services import open_services
from shared.settings import Settings
from shared.storage import PATIENT

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(stderr=True)

Weights = Annotated[
    str | None, typer.Option(help="A path, imagenet, calibrated or auto; EASEL_WEIGHTS where not given.")
]


@app.command()
def start(
    name: Annotated[str | None, typer.Option(help="Unique; host and process id where not given.")] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="One worker process per GPU: all, or nvidia-smi's numbers such as 0,2. Each is NAME-gpu0 ..."
        ),
    ] = None,
) -> None:
    """Serve the queue until SIGTERM, which checkpoints the job at hand and gives it back.

    Without --gpus it is one worker, on the first GPU that TensorFlow finds, else on the processor.
    """
    name = name or f"easel@{socket.gethostname()}-{os.getpid()}"
    if gpus is not None:
        from worker import gpu_workers  # noqa: PLC0415 - as below

        return gpu_workers.start(Settings(), name, gpus)
    from worker.celery_app import start as serve  # noqa: PLC0415 - Celery is not needed by the other commands

    return serve(Settings(), name)


@app.command()
def reaper() -> None:
    """Put right what dead workers left behind, every EASEL_REAPER_SECONDS; any number may run."""
    from worker.maintenance.reaper import Reaper  # noqa: PLC0415 - as above

    settings, stop = Settings(), threading.Event()
    configure_logging(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Reaper(open_services(settings, PATIENT)).run(stop)


@app.command()
def reconcile() -> None:
    """Rebuild the queue from the blob store after Redis lost it; harmless to repeat."""
    restored = job_files.reconcile(open_services(Settings(), PATIENT))
    console.print(f"{restored} jobs restored.")


@app.command()
def stylize(  # noqa: PLR0917 - typer turns each into an option
    content: Annotated[Path, typer.Argument(help="The photo.", exists=True, dir_okay=False)],
    styles: Annotated[list[Path], typer.Argument(help="One or more paintings.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The PNG to write.")] = Path("out/stylized.png"),
    recipe: Annotated[
        str, typer.Option(help="default, fast, tutorial, or a JSON file with fields of one.")
    ] = "default",
    size: Annotated[int | None, typer.Option(help="Longest side in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Evaluations of loss and gradient.")] = None,
    weights: Weights = None,
    engine: Annotated[
        Literal["auto", "reference", "fast"],
        typer.Option(
            help="reference: the Keras model; fast: the path for processors; auto: reference on a GPU, else fast."
        ),
    ] = "auto",
    trace: Annotated[Path | None, typer.Option(help="Write one JSON line a step to this file.")] = None,
) -> None:
    """Paint CONTENT in the manner of STYLES right here."""
    from worker import stylize_command as alone  # noqa: PLC0415 - TensorFlow comes with it
    from worker.devices.device import configure_tensorflow  # noqa: PLC0415 - the same

    configure_tensorflow(Settings().threads)
    last = alone.run(
        content, styles, _recipe(recipe, size, steps), _weights(weights), out, path=engine, trace=trace, console=console
    )
    console.print(f"{out}: {last.step} steps, loss {last.losses.total:.4g}")


@app.command()
def calibrate(
    photos: Annotated[list[Path] | None, typer.Argument(help="What to learn from; sample photos if none.")] = None,
) -> None:
    """Learn VGG19 filters from a few photos, for machines that cannot have the ImageNet ones; prints their path."""
    from worker.engine.weights.sources import resolve_weights  # noqa: PLC0415 - TensorFlow comes with it

    with console.status("learning filters") as status:
        found = resolve_weights(
            "calibrated",
            cache=Settings().cache,
            photos=photos or None,
            progress=lambda what, share: status.update(f"{what} {share:.0%}"),
        )
    console.print(found.describe())
    print(found.path)  # noqa: T201 - for scripts: EASEL_WEIGHTS=$(easel-worker calibrate)


def _recipe(name_or_file: str, size: int | None, steps: int | None) -> Recipe:
    path = Path(name_or_file)
    fields: dict[str, Any] = json.loads(path.read_text()) if path.suffix == ".json" else {"preset": name_or_file}
    given = {"size": size, "steps": steps}
    return resolve({**fields, **{name: value for name, value in given.items() if value is not None}})


def _weights(spec: str | None) -> Any:
    from worker.engine.weights.sources import resolve_weights  # noqa: PLC0415 - TensorFlow comes with it

    settings = Settings()
    with console.status("finding weights") as status:
        found = resolve_weights(
            spec or settings.weights,
            cache=settings.cache,
            progress=lambda what, share: status.update(f"{what} {share:.0%}"),
        )
    console.print(found.describe())
    return found


def main() -> None:
    """Run the command; errors of ours are one sentence and exit code 1."""
    try:
        app()
    except EaselError as error:
        console.print(f"[red]{error.detail}[/red] ({error.code})")
        raise SystemExit(1) from error
