"""The gallery's strips, without the minutes of rendering."""

from pathlib import Path

import pytest
from benchmarks import gallery
from PIL import Image

from worker.engine.weights.sources import Weights


def test_every_pair_credits_both_images() -> None:
    assert len({pair.name for pair in gallery.PAIRS}) == len(gallery.PAIRS) >= 3
    for pair in gallery.PAIRS:
        assert len([sentence for sentence in pair.credit.split(": ") if sentence]) == 3, pair.name


def test_a_strip_shows_photo_style_image_and_both_results() -> None:
    colors = ["red", "green", "blue", "yellow"]
    sizes = [(600, 400), (300, 500), (384, 288), (384, 288)]
    photo, style, tutorial, default = (Image.new("RGB", size, color) for size, color in zip(sizes, colors, strict=True))
    strip = gallery._strip(photo, style, tutorial, default, "credits")
    pixels = [strip.getpixel(position) for position in ((90, 70), (90, 220), (400, 140), (800, 140))]
    assert pixels == [image.getpixel((0, 0)) for image in (photo, style, tutorial, default)]


def test_a_pair_whose_images_are_missing_is_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.jpg"
    pair = gallery.Pair("absent", lambda: gallery._open(absent), lambda: gallery._open(absent), "")
    gallery._write_strip(pair, Weights("path", absent, ""), 64, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()
    assert "skipped" in capsys.readouterr().out
