"""The gallery's strips, without the minutes of painting."""

from pathlib import Path

import pytest
from benchmarks import gallery
from PIL import Image

from worker.engine.weights.sources import Weights


def test_every_pair_credits_both_its_images() -> None:
    assert len({pair.name for pair in gallery.PAIRS}) == len(gallery.PAIRS) >= 3
    for pair in gallery.PAIRS:
        assert len([sentence for sentence in pair.credit.split(": ") if sentence]) == 3, pair.name


def test_a_strip_shows_photo_painting_and_both_pictures() -> None:
    colours = ["red", "green", "blue", "yellow"]
    sizes = [(600, 400), (300, 500), (384, 288), (384, 288)]
    photo, painting, theirs, ours = (
        Image.new("RGB", size, colour) for size, colour in zip(sizes, colours, strict=True)
    )
    strip = gallery._strip(photo, painting, theirs, ours, "whose they are")
    seen = [strip.getpixel(place) for place in ((90, 70), (90, 220), (400, 140), (800, 140))]
    assert seen == [photo.getpixel((0, 0)), painting.getpixel((0, 0)), theirs.getpixel((0, 0)), ours.getpixel((0, 0))]


def test_a_pair_whose_images_are_elsewhere_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    absent = tmp_path / "absent.jpg"
    pair = gallery.Pair("absent", lambda: gallery._opened(absent), lambda: gallery._opened(absent), "")
    gallery._show(pair, Weights("path", absent, ""), 64, tmp_path / "out.jpg")
    assert not (tmp_path / "out.jpg").exists()
    assert "left out" in capsys.readouterr().out
