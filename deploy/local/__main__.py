"""`make up` and `make demo`: the whole of Easel on this machine, with nothing else installed."""

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

from deploy.local.demo import run_demo
from deploy.local.stack import Plan, Stack, free_port, port_is_free
from easel import ApiError, recipe_fields
from shared.errors import EaselError
from shared.images import decode
from shared.recipe import resolve
from shared.samples import sample_photo
from shared.settings import Settings

app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)
console = Console(stderr=True, soft_wrap=True, highlight=False)

DATA = Path("var")
CACHE = DATA / "cache"
PHOTO = "chelsea"  # shared/samples.py
PAINTING = Path(__file__).parents[1] / "samples" / "tide.jpg"


@app.command()
def up(port: int = 8080, workers: Annotated[int, typer.Option(min=1)] = 1, data: Path = DATA) -> None:
    """Run the stack in the foreground until Ctrl-C; its jobs are there again at the next start."""
    if not port_is_free(port):
        raise RuntimeError(f"Port {port} is taken; choose another one with PORT=.")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    console.print("Starting Valkey, API, reaper and workers …")
    with Stack.running(Plan(data, data / "cache", port, workers)) as stack:
        console.print(f"Easel is at [bold]{stack.url}[/bold] with {workers} worker(s); its docs at {stack.url}/docs")
        console.print(
            f"Logs are in {data / 'log'}. Ctrl-C stops everything; running jobs are kept and go on next time."
        )
        stack.watch(stop)
        console.print("Stopping: running jobs write a checkpoint first …")


@app.command()
def demo(
    content: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    style: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
    recipe: Annotated[str, typer.Option(help="A preset's name, or a JSON file with fields of one.")] = "default",
    out: Path = Path("out/demo.png"),
) -> None:
    """Start the stack, paint one picture through the HTTP API, and stop everything again."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that everything is stopped on `kill`, too
    for path in filter(None, (content, style)):
        check(path)
    if content is None or style is None:
        samples(out.parent)
    photo, painting = content or out.parent / "photo.png", style or out.parent / "painting.jpg"
    known = Path(recipe) if recipe.endswith(".json") else recipe
    resolve(recipe_fields(known))
    with tempfile.TemporaryDirectory(prefix="easel-demo-") as folder:
        console.print("Starting Valkey, API, reaper and one worker …")
        with Stack.running(Plan(Path(folder), CACHE, free_port())) as stack:
            run_demo(stack.url, photo, painting, out, known)


def check(picture: Path) -> None:
    """Raise RuntimeError, in the API's words, for what it would refuse once all had been started."""
    try:
        decode(picture.read_bytes(), max_pixels=Settings().max_pixels)
    except EaselError as error:
        raise RuntimeError(f"{picture}: {error.detail}") from error


@app.command()
def samples(folder: Path = Path("out")) -> None:
    """Write a free photo and a free painting: photo.png and painting.jpg."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(sample_photo(PHOTO), folder / "photo.png")
    shutil.copyfile(PAINTING, folder / "painting.jpg")
    console.print(f"A sample photo and painting are in {folder / 'photo.png'} and {folder / 'painting.jpg'}")


def main() -> None:
    """Run the command; what people can mend is one sentence and exit code 1."""
    try:
        app()
    except (RuntimeError, OSError, ApiError, EaselError) as error:
        console.print(f"[red]{escape(str(error))}[/red]")
        sys.exit(1)


if __name__ == "__main__":
    main()
