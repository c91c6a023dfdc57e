"""The grid of a contact sheet."""

from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from shared.jobs.job import JobRequest
from shared.presets import resolve
from worker.assets.sheet_layout import PAPER, Tile, column_count, draw_sheet, tile_side


def requests(*images: str) -> list[JobRequest]:
    """Return a request for each "photo style"."""
    defaults = {"id": "a", "tier": "standard", "created_at": 0, "digest": "", "recipe": resolve({})}
    pairs = [image.split() for image in images]
    return [JobRequest.model_validate({**defaults, "content": photo, "styles": (style,)}) for photo, style in pairs]


@pytest.mark.parametrize(
    ("images", "columns"),
    [
        (("a x",), 1),
        (("a x", "a y", "a z"), 3),
        (("a x", "a y", "b x", "b y", "c x", "c y"), 2),
        (("a x", "a x", "a x", "a x", "a y", "a y", "a y", "a y"), 4),
        (("a x", "b x", "c x", "d x", "e x", "f x"), 3),
        (("a x", "a y", "b x"), 3),
    ],
    ids=["one", "one row", "a row for each photo", "a row for each style", "a rectangle", "no rows of one length"],
)
def test_a_row_is_a_photo_or_a_style_if_they_have_equally_many_jobs(images: tuple[str, ...], columns: int) -> None:
    assert column_count(requests(*images)) == columns


def test_every_picture_is_on_the_sheet_with_its_caption_below() -> None:
    colors = [(200, 0, 0), (0, 160, 0), (0, 0, 200)]
    sizes = [(480, 320), (320, 480), (480, 320)]
    tiles = [
        Tile(Image.new("RGB", size, color), [("style", "wave")]) for size, color in zip(sizes, colors, strict=True)
    ]
    sheet = np.asarray(draw_sheet(tiles, 2, [("preset", "fast")]))
    for (width, height), color in zip(sizes, colors, strict=True):
        rows, columns = np.nonzero((sheet == color).all(axis=2))
        assert (rows.size, np.ptp(rows) + 1, np.ptp(columns) + 1) == (width * height, height, width)
        below = sheet[rows.max() + 1 : rows.max() + 50, columns.min() : columns.max()]
        assert (below.max(axis=2) < 100).any(), "text"
    background = tuple(int(PAPER[start : start + 2], 16) for start in (1, 3, 5))
    for edge in (sheet[:20], sheet[-20:], sheet[:, :20], sheet[:, -20:]):
        assert (edge == background).all()


def test_long_captions_and_other_scripts_stay_in_their_column() -> None:
    tiles = [Tile(Image.new("RGB", (240, 160), "red"), [("photo", text)]) for text in ("ü" * 300, "波", "a\nb")]
    sheet = np.asarray(draw_sheet(tiles, 3, []))
    gap = sheet[:, 40 + 240 : 40 + 240 + 20]
    assert (gap == gap[0, 0]).all()


def test_long_captions_take_little_work(monkeypatch: pytest.MonkeyPatch) -> None:
    measured, textlength = list[int](), ImageDraw.ImageDraw.textlength

    def measure(self: ImageDraw.ImageDraw, text: str, **options: Any) -> float:
        measured.append(len(text))
        return textlength(self, text, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "textlength", measure)
    draw_sheet([Tile(Image.new("RGB", (240, 160)), [("note", "W" * 500)])], 1, [])
    assert sum(measured) < 500


def test_a_picture_without_a_result_says_why() -> None:
    empty = Image.new("RGB", (240, 160), "#e9e6e0")
    plain, noted = (np.asarray(draw_sheet([Tile(empty, [], note)], 1, [])) for note in ("", "failed"))
    assert (plain != noted).any()


def test_many_pictures_are_smaller() -> None:
    assert [tile_side(count) for count in (1, 12, 13, 48, 49, 200)] == [480, 480, 320, 320, 240, 240]
