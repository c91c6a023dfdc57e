"""`make up` and `make demo`: all of Easel on this machine, with nothing else installed."""

import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from deploy.local import weights
from deploy.local.demo import run_demo
from deploy.local.stack import Stack, StackConfig, free_port, port_is_free
from easel import ApiError, recipe_fields
from shared.errors import EaselError
from shared.imaging.images import decode
from shared.presets import resolve
from shared.samples import sample_photo
from shared.settings import Settings

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(stderr=True, soft_wrap=True, highlight=False)

DATA = Path("var")
CACHE = DATA / "cache"
CONTENT_SAMPLE = "chelsea"  # shared/samples.py
STYLE_SAMPLE = Path(__file__).parents[1] / "samples" / "tide.jpg"


@app.command()
def up(port: int = 8080, workers: Annotated[int, typer.Option(min=1)] = 1, data: Path = DATA) -> None:
    """Run the stack in the foreground until Ctrl-C. The next start continues its jobs."""
    if not port_is_free(port):
        raise RuntimeError(f"Port {port} is in use; choose another one with PORT=.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console.print("Starting Valkey, API, reaper and workers …")
    with (
        Stack.running(StackConfig(data, data / "cache", port, workers)) as stack,
        weights.loading(stack.environment),
    ):
        console.print(f"Easel is at [bold]{stack.url}[/bold] with {workers} worker(s); API docs: {stack.url}/docs")
        console.print(f"Logs are in {data / 'log'}. Ctrl-C stops everything; jobs continue at the next start.")
        stack.write_exports(data / "env")
        console.print(f"For `easel-worker` and other commands in another terminal: . {data / 'env'}")
        stack.watch(stop)
        console.print("Stopping: running jobs write a checkpoint first …")


@app.command()
def demo(
    content: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    style: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    recipe: Annotated[str, typer.Option(help="A preset's name, or a JSON file with fields of one.")] = "default",
    out: Path = Path("out/demo.png"),
) -> None:
    """Start the stack, render one image through the HTTP API, and stop the stack."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that `kill` stops everything, too
    for path in filter(None, (content, style)):
        check_image(path)
    if content is None or style is None:
        samples(out.parent)
    content, style = content or out.parent / "photo.png", style or out.parent / "painting.jpg"
    name_or_file = Path(recipe) if recipe.endswith(".json") else recipe
    resolve(recipe_fields(name_or_file))
    with tempfile.TemporaryDirectory(prefix="easel-demo-") as folder:
        console.print("Starting Valkey, API, reaper and one worker …")
        with Stack.running(StackConfig(Path(folder), CACHE, free_port())) as stack:
            run_demo(stack.url, content, style, out, name_or_file)


def check_image(path: Path) -> None:
    """Raise RuntimeError for a file that the API would refuse, before anything is started."""
    try:
        decode(path.read_bytes(), max_pixels=Settings().max_pixels)
    except EaselError as error:
        raise RuntimeError(f"{path}: {error.detail}") from error


@app.command()
def samples(folder: Path = Path("out")) -> None:
    """Write a free content image (a photo) and a free style image (a painting): photo.png and painting.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sample_photo(CONTENT_SAMPLE), folder / "photo.png")
    shutil.copyfile(STYLE_SAMPLE, folder / "painting.jpg")
    console.print(f"Sample images: {folder / 'photo.png'} and {folder / 'painting.jpg'}")


def main() -> None:
    """Run the command; an expected error prints one line and exits with 1."""
    try:
        app()
    except (RuntimeError, OSError, ApiError, EaselError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        sys.exit(1)


if __name__ == "__main__":
    main()
