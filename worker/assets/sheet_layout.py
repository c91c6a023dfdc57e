"""The layout of a contact sheet: pictures of any shape in a grid, with captions below."""

import math
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from shared.jobs.job import JobRequest
from worker.assets.captions import Fact

PAPER: Final = "#fbfaf7"
_INK, _GRAY = "#26241f", "#8a857b"
_SIDES: Final = ((12, 480), (48, 320), (200, 240))
"""The longest side of pictures, in pixels, by the largest number of pictures."""
_MAX_LINES: Final = 4
_MAX_CHARACTERS: Final = 200  # of a value: more than fit on a line, and few enough to be measured
_MAX_COLUMNS: Final = 8
_LINE_HEIGHT: Final = 1.4


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Tile:
    """One picture, and the facts below it. `note` is written on the picture."""

    picture: Image.Image
    caption: Sequence[Fact]
    note: str = ""


def tile_side(count: int) -> int:
    """Return the longest side of each of so many pictures."""
    return next((side for most, side in _SIDES if count <= most), _SIDES[-1][1])


def column_count(requests: Sequence[JobRequest]) -> int:
    """Return the number of columns: a row for each photo, or else each style, if all have equally many jobs in turn."""
    for images in ([_key(r.content) for r in requests], [_key(*r.styles) for r in requests]):
        runs = [len(list(run)) for _, run in groupby(images)]
        if len(runs) > 1 and len(set(runs)) == 1 and 1 < runs[0] <= _MAX_COLUMNS:
            return runs[0]
    return math.ceil(math.sqrt(len(requests) * 1.5)) if len(requests) > 3 else len(requests)  # noqa: PLR2004 - one row


def draw_sheet(tiles: Sequence[Tile], columns: int, header: Sequence[Fact]) -> Image.Image:
    """Return the sheet, rows first. The pictures of a row are aligned at their bottoms."""
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    side = max(max(tile.picture.size) for tile in tiles)
    size = max(14, side // 26)
    font, line = ImageFont.load_default(size), round(size * _LINE_HEIGHT)
    margin, gap = side // 6, side // 12
    width = max(tile.picture.width for tile in tiles)
    heights = [
        (max(tile.picture.height for tile in row), max(min(len(tile.caption), _MAX_LINES) for tile in row))
        for row in rows
    ]
    top = margin + (line + gap if header else 0)
    total = top + sum(picture + line // 2 + lines * line + gap for picture, lines in heights) - gap + margin
    shown = min(columns, len(tiles))
    sheet = Image.new("RGB", (2 * margin + shown * width + (shown - 1) * gap, total), PAPER)
    draw = ImageDraw.Draw(sheet)
    if header:
        _write(draw, (margin, margin), header, font, sheet.width - 2 * margin)
    for row, (height, lines) in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = margin + column * (width + gap)
            sheet.paste(tile.picture, (left, top + height - tile.picture.height))
            if tile.note:
                center = left + tile.picture.width // 2, top + height - tile.picture.height // 2
                draw.text(center, tile.note, fill=_GRAY, font=font, anchor="mm")
            for number, fact in enumerate(tile.caption[:_MAX_LINES]):
                below = top + height + line // 2 + number * line
                _write(draw, (left, below), [fact], font, width)
        top += height + line // 2 + lines * line + gap
    return sheet


def _key(*hashes: str) -> str:
    return " ".join(hashes)


def _write(draw: ImageDraw.ImageDraw, at: tuple[int, int], facts: Sequence[Fact], font: Font, width: int) -> None:
    """Write names in gray and values in black on one line; a value that is too long is cut off."""
    left, top = at
    end = left + width
    for name, value in facts:
        label = f"{_latin(name)} "
        draw.text((left, top), label, fill=_GRAY, font=font)
        left += round(draw.textlength(label, font=font))
        text = _fitting(draw, _latin(value[:_MAX_CHARACTERS])[:_MAX_CHARACTERS], font, end - left)
        draw.text((left, top), text, fill=_INK, font=font)
        left += round(draw.textlength(f"{text}    ", font=font))


def _fitting(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    if draw.textlength(text, font=font) <= width:
        return text
    lengths = range(1, len(text))
    shown = bisect_right(lengths, width, key=lambda n: math.ceil(draw.textlength(f"{text[:n]}...", font=font)))
    return f"{text[:shown]}..."


def _latin(text: str) -> str:
    """Return the text in ASCII, without accents: Pillow's own font has little else, and servers often have no fonts."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join("" if unicodedata.combining(c) else c if c.isascii() and c.isprintable() else "?" for c in plain)
