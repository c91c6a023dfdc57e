"""The jobs' pictures on a terminal: by kitty's graphics protocol, as sixels, or as half blocks of colour.

Importing this asks the terminal what it can show, over standard input and output: watching.py decides when.
"""

import io
from collections.abc import Iterable
from typing import Final

from PIL import Image
from rich.console import Console, ConsoleOptions, RenderResult
from textual_image import renderable
from textual_image.renderable import HalfcellImage, SixelImage, TGPImage, UnicodeImage

_HIGH: Final = 24  # rows at most
_LOW: Final = 4  # and at least: below, a picture is only noise
_SIDE: Final = 512  # pixels to which each picture is brought, more than a terminal shows
_GAP: Final = 16


class Strip:
    """One picture for each job, side by side in the order of `ids`, as large as the terminal allows."""

    def __init__(self, ids: Iterable[str], spare_rows: int) -> None:
        self._ids, self._spare = tuple(ids), spare_rows
        self._pictures: dict[str, Image.Image] = {}
        self._shown: HalfcellImage | SixelImage | TGPImage | UnicodeImage | None = None

    def put(self, job_id: str, encoded: bytes) -> None:
        """A job's newest picture."""
        with Image.open(io.BytesIO(encoded)) as picture:
            self._pictures[job_id] = picture.convert("RGB").resize(_fitted(picture.size))
        if self._shown:
            self._shown.cleanup()  # terminals that keep pictures by a number may forget this one
        row = _beside([self._pictures[one] for one in self._ids if one in self._pictures])
        self._shown = renderable.Image(row, "auto", "auto")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = min(_HIGH, console.height - self._spare)
        if self._shown and rows >= _LOW:
            yield from console.render(self._shown, options.update_height(rows))


def _fitted(size: tuple[int, int]) -> tuple[int, int]:
    """As high as all others, so that they stand in one row."""
    width, height = size
    return max(1, round(width * _SIDE / height)), _SIDE


def _beside(pictures: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(one.width + _GAP for one in pictures) - _GAP, _SIDE))
    left = 0
    for one in pictures:
        row.paste(one, (left, 0))
        left += one.width + _GAP
    return row
