"""The jobs' previews on a terminal: by kitty's graphics protocol, as sixels, or as colored half blocks.

Importing this module queries the terminal over standard input and output for what it can show; watch.py decides when.
"""

import io
from collections.abc import Iterable
from typing import Final

from PIL import Image
from rich.console import Console, ConsoleOptions, RenderResult
from textual_image import renderable
from textual_image.renderable import HalfcellImage, SixelImage, TGPImage, UnicodeImage

_MAX_ROWS: Final = 24
_MIN_ROWS: Final = 4  # an image of fewer rows is only noise
_HEIGHT: Final = 512  # pixels of each preview, more than a terminal shows
_GAP: Final = 16  # pixels between two previews


class PreviewRow:
    """One preview per job, side by side in the order of `ids`, as large as the terminal allows."""

    def __init__(self, ids: Iterable[str], reserved_rows: int) -> None:
        self._ids, self._reserved_rows = tuple(ids), reserved_rows
        self._previews: dict[str, Image.Image] = {}
        self._rendered: HalfcellImage | SixelImage | TGPImage | UnicodeImage | None = None

    def update(self, job_id: str, jpeg: bytes) -> None:
        """Replace a job's preview."""
        with Image.open(io.BytesIO(jpeg)) as preview:
            self._previews[job_id] = _scale_to_height(preview.convert("RGB"))
        if self._rendered:
            self._rendered.cleanup()  # terminals that store images by number can free this one
        row = _join([self._previews[job_id] for job_id in self._ids if job_id in self._previews])
        self._rendered = renderable.Image(row, "auto", "auto")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = min(_MAX_ROWS, console.height - self._reserved_rows)
        if self._rendered and rows >= _MIN_ROWS:
            yield from console.render(self._rendered, options.update_height(rows))


def _scale_to_height(preview: Image.Image) -> Image.Image:
    return preview.resize((max(1, round(preview.width * _HEIGHT / preview.height)), _HEIGHT))


def _join(previews: list[Image.Image]) -> Image.Image:
    row = Image.new("RGB", (sum(preview.width + _GAP for preview in previews) - _GAP, _HEIGHT))
    left = 0
    for preview in previews:
        row.paste(preview, (left, 0))
        left += preview.width + _GAP
    return row
