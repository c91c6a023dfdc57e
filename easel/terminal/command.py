"""What the commands of `easel` share: options, exit codes, and how errors and endings are told."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from easel import ApiError, Easel, Job, JobState, JobView, NotFound, Unavailable, recipe_fields
from easel.terminal.tables import ending, fetching, print_json, say

EXIT_CODES: Final = {
    0: "done",
    1: "a job that was waited for failed or was canceled",
    2: "wrong usage, or refused by the service as bad input",
    3: "no such job",
    4: "the service is unreachable, unavailable or full: try again later",
    130: "interrupted; a job that was waited for goes on",
}
_ENDED_BADLY, _REFUSED, _NOT_FOUND, _UNAVAILABLE, _INTERRUPTED = 1, 2, 3, 4, 130

Id = Annotated[str, typer.Argument(metavar="ID", help="A job's id.", show_default=False)]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs' ids.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Content = Annotated[Path, typer.Argument(metavar="CONTENT", exists=True, dir_okay=False, help="The photo.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The file to write; - for standard output.")]
Pictures = Annotated[
    bool | None,
    typer.Option("--pictures/--no-pictures", help="Show what emerges, where the terminal can.", show_default=False),
]
Styles = Annotated[list[Path], typer.Argument(metavar="STYLE...", exists=True, dir_okay=False, help="The paintings.")]


class Group(TyperGroup):
    """Ends every command's ApiError in one sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit in the place of ApiError."""
        try:
            return super().invoke(ctx)
        except ApiError as error:
            say(f"Error: {error.detail} ({error.code})")
            raise typer.Exit(exit_code(error)) from error


def exit_code(error: ApiError) -> int:
    """What an error means to a script: see EXIT_CODES."""
    if isinstance(error, NotFound):
        return _NOT_FOUND
    return _UNAVAILABLE if error.passing or isinstance(error, Unavailable) else _REFUSED


def tell_retry(error: ApiError, seconds: float) -> None:
    """Say why it takes longer."""
    if seconds >= 1:  # a blink is not worth a line
        say(f"Trying again in {seconds:.0f} s ({error.code})")


def overlay(recipe: str, size: int | None, steps: int | None, settings: list[str]) -> dict[str, Any]:
    """The recipe to send: a preset or a file, with the options laid over it."""
    is_file = recipe.endswith(".json") or "/" in recipe
    fields = recipe_fields(Path(recipe) if is_file else recipe)
    fields |= {name: value for name, value in (("size", size), ("steps", steps)) if value is not None}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not (key and equals):
            raise typer.BadParameter(f"{setting!r} is not KEY=VALUE, such as style_weight=5.", param_hint="--set")
        *outer, last = key.split(".")
        inner = fields
        for name in outer:
            inner = inner.setdefault(name, {})
            if not isinstance(inner, dict):
                why = f"{setting!r} reaches inside {name!r}, which is {json.dumps(inner)} and has no fields."
                raise typer.BadParameter(f"{why} Leave out one of the two.", param_hint="--set")
        inner[last] = _value(text)
    return fields


def _value(text: str) -> Any:
    """JSON where it is JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def until_ended(jobs: list[Job], follow: Callable[[], None]) -> None:
    """Wait by `follow`; on Ctrl-C say how to go on, and exit."""
    try:
        follow()
    except KeyboardInterrupt:
        several = "s go" if len(jobs) > 1 else " goes"
        say(f"The job{several} on. Watch again with: easel watch {' '.join(job.id for job in jobs)}")
        raise typer.Exit(_INTERRUPTED) from None


def judge(jobs: list[Job], *, fetched: bool = False) -> None:
    """Say how the jobs that were waited for ended, and exit as the worst of them did."""
    for job in jobs:
        say(ending(job.view))
        if not fetched and (hint := fetching(job.view)):
            say(hint)
    if any(job.state != JobState.SUCCEEDED for job in jobs):
        raise typer.Exit(_ENDED_BADLY)


def steer(easel: Easel, act: Callable[[Job], JobView], ids: list[str], *, as_json: bool) -> None:
    """Steer every job that can be steered; the first refusal decides the exit code."""
    jobs, refusals = [], []
    for job_id in dict.fromkeys(ids):
        try:
            jobs.append(act(easel.get(job_id)))
        except ApiError as error:
            refusals.append(error)
            say(f"Error: {job_id}: {error.detail} ({error.code})")
    if as_json:
        print_json([job.model_dump(mode="json") for job in jobs])
    else:
        for job in jobs:
            say(f"{job.id}  {job.state}" + ("" if job.ended else ", will end at its next step"))
    if refusals:
        raise typer.Exit(exit_code(refusals[0]))


def write(path: Path, data: bytes) -> None:
    """To a file, or to standard output for -."""
    if str(path) == "-":
        sys.stdout.buffer.write(data)
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        say(f"Error: {path} cannot be written: {error.strerror}.")
        raise typer.Exit(_REFUSED) from error
    say(f"Wrote {path}")
