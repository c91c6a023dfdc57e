"""The reference page of the commands `easel` and `easel-worker`."""

import inspect
from collections.abc import Iterator
from typing import Any, Final

from markdown import code, page, paragraph, table
from typer.main import get_command

from easel.cli import app as easel_cli
from worker.cli import app as worker_cli

_BUILT_IN: Final = {"help", "install_completion", "show_completion"}


def command_line() -> str:
    """Return the page."""
    blocks = [
        block for name, app in {"easel": easel_cli, "easel-worker": worker_cli}.items() for block in _program(name, app)
    ]
    return page("Command line", "Every command has `--help`. `make help` lists the targets of the Makefile.", *blocks)


def _program(name: str, app: Any) -> Iterator[str]:
    group: Any = get_command(app)
    about, _, exit_codes = inspect.cleandoc(group.help or "").partition("\b\nExit codes:\n")
    yield f"## {name}\n\n{about}"
    if exit_codes:
        rows = [line.strip().partition("  ")[::2] for line in exit_codes.splitlines()]
        yield table(("exit code", "meaning"), rows)
    if rows := [_option(one) for one in group.params if one.name not in _BUILT_IN]:
        yield table(("option", "default", "meaning"), rows)
    for called, command in _commands(name, group):
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one not in arguments and one.name != "help"]
        words = " ".join([called, *map(_argument, arguments)])
        shown = table(("option", "default", "meaning"), map(_option, options)) if options else ""
        yield "\n\n".join(filter(None, [f"### `{words}`", inspect.cleandoc(command.help or ""), shown]))


def _commands(words: str, group: Any) -> Iterator[tuple[str, Any]]:
    """Yield all commands, and those of groups, each with the words that call it."""
    for command in group.commands.values():
        called = f"{words} {command.name}"
        yield from _commands(called, command) if hasattr(command, "commands") else [(called, command)]


def _argument(one: Any) -> str:
    return (one.metavar or one.name.upper()) + ("" if one.nargs == 1 else "...")


def _option(one: Any) -> tuple[str, str, str]:
    default = one.default if isinstance(one.default, str | int | float) and not isinstance(one.default, bool) else ""
    return ", ".join(map(code, [*one.opts, *one.secondary_opts])), code(default), paragraph(one.help)
