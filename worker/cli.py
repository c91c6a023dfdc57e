"""Run Easel's workers and reapers, or the engine alone without a server."""

import os
import signal
import socket
import threading
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from easel import BadInput, recipe_fields
from easel.terminal.files import check_input, check_output, is_standard
from easel.terminal.output import print_message, printable
from shared import errors
from shared.logging import configure_logging, exit_with_error
from shared.metrics.server import start_metrics_server
from shared.presets import resolve
from shared.recipe import Recipe
from shared.recovery.rebuild import rebuild_ledger
from shared.services import open_services
from shared.settings import InvalidSettings, Settings
from shared.storage import LONG_TIMEOUTS
from worker import keys_command, tenants_command

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
app.add_typer(keys_command.app, name="keys")
app.add_typer(tenants_command.app, name="tenants")
console = Console(stderr=True)


@app.command()
def start(
    name: Annotated[str | None, typer.Option(help="A unique name. Default: host name and process id.")] = None,
    gpus: Annotated[
        str | None,
        typer.Option(
            help="Run one worker process per GPU: `all`, or numbers as in nvidia-smi, such as `0,2`. The workers are "
            "called NAME-gpu0 and so on."
        ),
    ] = None,
) -> None:
    """Run a worker until SIGTERM. It then saves a checkpoint of its job and returns the job to the queue.

    Without --gpus, one worker runs on the first GPU that TensorFlow finds, or else on the CPU.
    """
    name = name or f"easel@{socket.gethostname()}-{os.getpid()}"
    if gpus is not None:
        from worker import gpu_workers  # noqa: PLC0415 - the other commands do not need NVML

        return gpu_workers.start(Settings(), name, gpus)
    from worker import celery_app  # noqa: PLC0415 - the other commands do not need Celery

    return celery_app.start(Settings(), name)


@app.command()
def reaper() -> None:
    """Recover jobs of workers that died, collect garbage and send webhooks, every EASEL_REAPER_SECONDS.

    Any number of reapers may run at the same time.
    """
    from worker.maintenance.metrics import show_zeros  # noqa: PLC0415 - the other commands do not need it
    from worker.maintenance.reaper import Reaper  # noqa: PLC0415 - the same

    settings, stop = Settings(), threading.Event()
    configure_logging(settings)
    show_zeros()
    start_metrics_server(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Reaper(open_services(settings, LONG_TIMEOUTS)).run(stop)


@app.command()
def rebuild() -> None:
    """Rebuild the queue from the blob store after Redis lost its data. It is safe to repeat."""
    restored = rebuild_ledger(open_services(Settings(), LONG_TIMEOUTS))
    console.print(f"{restored} jobs restored.")


@app.command()
def stylize(  # noqa: PLR0917 - typer turns each into an option
    content: Annotated[
        Path,
        typer.Argument(help="The content image; - for standard input.", dir_okay=False, callback=check_input),
    ],
    styles: Annotated[list[Path], typer.Argument(help="One or more style images.", exists=True, dir_okay=False)],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="The file to write: .png, .jpg, .webp or .tiff; - for a PNG to standard output."
        ),
    ] = Path("out/stylized.png"),
    recipe: Annotated[
        str, typer.Option(help="The name of a preset, or a JSON file with a recipe's fields.")
    ] = "default",
    size: Annotated[int | None, typer.Option(help="Longest side of the result in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of evaluations of loss and gradient.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="A path, imagenet, calibrated or auto. Default: EASEL_WEIGHTS.")
    ] = None,
    engine: Annotated[
        Literal["auto", "reference", "fast"],
        typer.Option(
            help="reference: the Keras model. fast: an implementation for CPUs. auto: reference on a GPU, else fast."
        ),
    ] = "auto",
    trace: Annotated[
        Path | None,
        typer.Option(
            help="A file to write one JSON line per step to: losses, of which patch matching has none, and time."
        ),
    ] = None,
) -> None:
    """Render CONTENT in the style of STYLES on this machine, without a server. Masks and start images need one.

    Ctrl-C writes the image so far.
    Exit codes: 1 for an image, a recipe or weights that cannot be used; 2 for wrong usage, such as an output that
    cannot be written, before any work.
    """
    _check_files(output, trace)
    resolved = _recipe(recipe, size, steps)
    _check_saved(resolved, output)
    from worker import stylize_command  # noqa: PLC0415 - it imports TensorFlow
    from worker.devices.device import configure_tensorflow  # noqa: PLC0415 - it imports TensorFlow

    configure_tensorflow(Settings().threads)
    found = _weights(weights) if resolved.steps else None
    try:
        last = stylize_command.run(content, styles, resolved, found, output, path=engine, trace=trace, console=console)
    except OSError as error:
        raise errors.BadInput(f"{error.filename or 'A file'}: {error.strerror}.") from error
    print_message(f"{output}: {last.step} steps" + (f", loss {last.losses.total:.4g}" if last.losses else ""))


@app.command()
def calibrate(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="The photos to learn from. Default: the sample photos.")
    ] = None,
) -> None:
    """Learn VGG19 filters from a few photos, for machines without the ImageNet weights. Prints the path of the file."""
    weights = _resolve_weights("learning filters", "calibrated", photos=photos or None)
    print(weights.path)  # noqa: T201 - for scripts: EASEL_WEIGHTS=$(easel-worker calibrate)


def _check_files(output: Path, trace: Path | None) -> None:
    """Make the output's folder. Raises typer.BadParameter if a file cannot be written, before any work."""
    for file, option in ((output, "--output"), (trace, "--trace")):
        try:
            if file:
                file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = f"The folder {printable(str(file and file.parent))} cannot be made: {error.strerror}."
            raise typer.BadParameter(problem, param_hint=option) from error
    check_output(output)


def _check_saved(recipe: Recipe, output: Path) -> None:
    """Raise typer.BadParameter if the images of `save_every` have no place: they are written beside the output."""
    if recipe.save_every and is_standard(output):
        raise typer.BadParameter(
            "The recipe has save_every, whose images are written beside the result: name a file.", param_hint="--output"
        )


def _recipe(name_or_file: str, size: int | None, steps: int | None) -> Recipe:
    is_file = name_or_file.endswith(".json") or "/" in name_or_file
    try:
        fields = recipe_fields(Path(name_or_file) if is_file else name_or_file)
    except BadInput as error:
        raise errors.InvalidRecipe(error.detail) from error
    options = {"size": size, "steps": steps}
    return resolve({**fields, **{name: value for name, value in options.items() if value is not None}})


def _weights(spec: str | None) -> Any:
    return _resolve_weights("looking for weights", spec or Settings().weights)


def _resolve_weights(title: str, spec: str, **options: Any) -> Any:
    from worker.engine.weights.sources import resolve_weights  # noqa: PLC0415 - it imports TensorFlow

    with console.status(title) as status:
        weights = resolve_weights(
            spec,
            cache=Settings().cache,
            progress=lambda activity, fraction: status.update(f"{activity} {fraction:.0%}"),
            **options,
        )
    print_message(weights.describe())
    return weights


def main() -> None:
    """Run the command. An expected error becomes one sentence and exit code 1."""
    try:
        app(prog_name="easel-worker")
    except errors.EaselError as error:
        cause = (
            {"cause": str(error.__cause__)} if isinstance(error, errors.Unavailable) else {}
        )  # which Redis, which store
        exit_with_error(error.detail, code=error.code, **cause)
    except InvalidSettings as error:
        exit_with_error(str(error))
