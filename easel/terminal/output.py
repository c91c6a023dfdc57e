"""Output of the `easel` command: results to standard output, messages and progress to standard error."""

import json
from typing import Any

from rich.console import Console
from rich.table import Table

_WIDEST_LINE = 1000  # characters; no table is wider

stdout = Console(highlight=False, emoji=False)  # text such as :bug: from the service is not replaced
"""The output of a command."""
stderr = Console(highlight=False, emoji=False, stderr=True)
"""Messages and progress."""


def printable(text: str) -> str:
    """Return the text of a user or service without what would act on the terminal, or that is not Unicode."""
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)


def print_message(message: str) -> None:
    """Print a message for people to standard error."""
    stderr.print(printable(message), markup=False, soft_wrap=True)


def print_table(table: Table) -> None:
    """Print a table to standard output. In a pipe or a file each row is one line, for grep and awk."""
    console = stdout if stdout.is_terminal else Console(highlight=False, emoji=False, width=_WIDEST_LINE)
    console.print(table)


def print_json(document: Any) -> None:
    """Print one indented JSON document to standard output."""
    stdout.print_json(data=document, highlight=False, ensure_ascii=True)


def print_json_line(document: Any) -> None:
    """Print one JSON document as one line to standard output, and flush it."""
    print(json.dumps(document), flush=True)  # noqa: T201 - this is the command's output
