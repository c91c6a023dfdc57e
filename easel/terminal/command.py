"""Options, exit codes and error messages that the commands of `easel` share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from easel import ApiError, Easel, Job, JobState, JobStatus, NotFound, Unauthorized, Unavailable, recipe_fields
from easel.terminal.files import check_input
from easel.terminal.output import print_json, print_message
from easel.terminal.tables import describe_outcome, result_hint

EXIT_CODES: Final = {
    0: "success",
    1: "a watched job failed or was canceled",
    2: "wrong usage, or the service rejected the request",
    3: "no such job",
    4: "the service is unreachable, unavailable or full: try again later",
    130: "interrupted; watched jobs keep running",
}
HELP: Final = "Neural style transfer as a service.\n\n\b\nExit codes:\n" + "\n".join(
    f"{code:>3}  {meaning}" for code, meaning in EXIT_CODES.items()
)
JOB_NOT_SUCCEEDED, _REJECTED, _NOT_FOUND, _UNAVAILABLE, INTERRUPTED = 1, 2, 3, 4, 130

TIMES: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%z"]
"""Formats of times in options. Times without an offset are local."""

Id = Annotated[str, typer.Argument(metavar="ID", help="The job's ID.", show_default=False)]
Ids = Annotated[list[str], typer.Argument(metavar="ID", help="The jobs' IDs.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Content = Annotated[
    Path,
    typer.Argument(metavar="CONTENT", dir_okay=False, callback=check_input, help="The photo; - for standard input."),
]

Masks = Annotated[
    list[Path] | None,
    typer.Option(exists=True, dir_okay=False, help="Where a style applies: one for each, or one with flat colors."),
]
StyleMasks = Annotated[
    list[Path] | None,
    typer.Option(exists=True, dir_okay=False, help="Which part of a style is used: one for each."),
]
InitImage = Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="Image to start from.")]
InitJob = Annotated[str | None, typer.Option(metavar="ID", help="Job whose result to start from.")]
Output = Annotated[Path, typer.Option("-o", "--output", help="The file to write; - for standard output.")]
Previews = Annotated[
    bool | None,
    typer.Option("--previews/--no-previews", help="Show previews, if the terminal can.", show_default=False),
]
SaveEvery = Annotated[
    int | None,
    typer.Option(metavar="N", help="Save every N-th step's image; with -o NAME.png also as NAME-0030.png and so on."),
]
Styles = Annotated[
    list[Path],
    typer.Argument(metavar="STYLE", dir_okay=False, callback=check_input, help="Style images; - for standard input."),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Any recipe field; a.b=1 sets a nested one; may be repeated."),
]
Tier = Annotated[
    str | None,
    typer.Option(
        help="The tier to queue the job in: interactive, standard (default) or batch, unless the service has others."
    ),
]
WebhookEvents = Annotated[
    list[str] | None,
    typer.Option(
        "--webhook-event",
        help="Send only this event: job.started, job.succeeded, job.failed or job.canceled; may be repeated.",
    ),
]


class CommandGroup(TyperGroup):
    """Prints every command's ApiError as one sentence, and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Raises typer.Exit instead of ApiError."""
        try:
            return super().invoke(ctx)
        except ApiError as error:
            print_message(f"Error: {error.detail} ({error.code})")
            if isinstance(error, Unauthorized):
                print_message(_api_key_hint(sent=bool(ctx.params["api_key"])))
            raise typer.Exit(exit_code(error)) from error


def _api_key_hint(*, sent: bool) -> str:
    if sent:
        return "Check the key in EASEL_API_KEY or after --api-key."
    return "Set EASEL_API_KEY, or pass a key before the command's name: easel --api-key KEY ..."


def exit_code(error: ApiError) -> int:
    """Return the exit code for an error: see EXIT_CODES."""
    if isinstance(error, NotFound):
        return _NOT_FOUND
    return _UNAVAILABLE if error.transient or isinstance(error, Unavailable) else _REJECTED


def report_retry(error: ApiError, seconds: float) -> None:
    """Print why a request takes longer, if the pause is noticeable."""
    if seconds >= 1:
        print_message(f"Trying again in {seconds:.0f} s ({error.code})")


def build_recipe(recipe: str, overrides: list[str], **options: int | None) -> dict[str, Any]:
    """Return the fields of a preset or a recipe file, overridden by the options that are not None, then by overrides.

    Raises BadInput for an unreadable file, typer.BadParameter for an override that is not KEY=VALUE.
    """
    is_file = recipe.endswith(".json") or "/" in recipe
    fields = recipe_fields(Path(recipe) if is_file else recipe)
    fields |= {name: value for name, value in options.items() if value is not None}
    for key, text in split_pairs(overrides, "--set", "style_weight=5"):
        *parents, last = key.split(".")
        target = fields
        for name in parents:
            target = target.setdefault(name, {})
            if not isinstance(target, dict):
                problem = f"'{key}={text}' sets a field of {name!r}, which is {json.dumps(target)} and has no fields."
                raise typer.BadParameter(f"{problem} Leave out one of the two.", param_hint="--set")
        target[last] = _parse_value(text)
    return fields


def split_pairs(pairs: list[str], option: str, example: str) -> list[tuple[str, str]]:
    """Return key and value of each KEY=VALUE of an option. Raises typer.BadParameter."""
    for pair in pairs:
        if pair.find("=") < 1:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE, such as {example}.", param_hint=option)
    return [(key, value) for key, _, value in (pair.partition("=") for pair in pairs)]


def _parse_value(text: str) -> Any:
    """Return parsed JSON, or the text itself if it is not JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def until_ended(jobs: list[Job], watch: Callable[[], None]) -> None:
    """Run `watch`; on Ctrl-C print how to resume watching, and exit."""
    try:
        watch()
    except KeyboardInterrupt:
        advice = "The jobs keep running. Watch them" if len(jobs) > 1 else "The job keeps running. Watch it"
        print_message(f"{advice} again with: easel watch {' '.join(job.id for job in jobs)}")
        raise typer.Exit(INTERRUPTED) from None


def report_outcomes(jobs: list[Job], *, fetched: bool = False) -> None:
    """Print how the watched jobs ended, and exit with 1 unless all succeeded."""
    for job in jobs:
        print_message(describe_outcome(job.status))
        if not fetched and (hint := result_hint(job.status)):
            print_message(hint)
    if any(job.state != JobState.SUCCEEDED for job in jobs):
        raise typer.Exit(JOB_NOT_SUCCEEDED)


def control_jobs(easel: Easel, control: Callable[[Job], JobStatus], ids: list[str], *, as_json: bool) -> None:
    """Cancel or finish every job that allows it; the first error decides the exit code."""
    statuses, errors = [], []
    for job_id in dict.fromkeys(ids):
        try:
            statuses.append(control(easel.get(job_id)))
        except Unauthorized:  # it would be the same for every job
            raise
        except ApiError as error:
            errors.append(error)
            print_message(f"Error: {job_id}: {error.detail} ({error.code})")
    if as_json:
        print_json([status.model_dump(mode="json") for status in statuses])
    else:
        for status in statuses:
            print_message(f"{status.id}  {status.state}" + ("" if status.ended else ", will end at its next step"))
    if errors:
        raise typer.Exit(exit_code(errors[0]))
