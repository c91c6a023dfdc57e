"""`easel-worker stylize`: both engines render the same image; wide colors are kept."""

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from support.image_files import decode_png, display_p3_profile, encode, solid
from support.requirements import ROOT
from support.small_runs import CONTENT, STYLE, small

from shared.errors import InvalidMask
from shared.imaging import deep_color
from shared.imaging.encoding import encode_canonical_png
from shared.presets import PRESETS, resolve
from worker.engine.iterate import PatchState, create_iterate
from worker.engine.postprocess import Postprocess
from worker.engine.schedule import Schedule
from worker.engine.weights.sources import Weights
from worker.stylize_command import _decode_style, _progress_bar, run

ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.slow
def test_the_reference_and_the_fast_engine_have_the_same_losses(random_weights: Path, tmp_path: Path) -> None:
    transparent = np.dstack([CONTENT, np.full(CONTENT.shape[:2], 128, np.uint8)])
    for name, pixels in (("content.png", transparent), ("style.png", STYLE)):
        (tmp_path / name).write_bytes(encode_canonical_png(Image.fromarray(pixels)))
    recipe = small("adam", steps=2, save_every=1, bit_depth=16)
    (tmp_path / "recipe.json").write_text(recipe.model_dump_json(exclude={"preset"}))
    images = str(tmp_path / "content.png"), str(tmp_path / "style.png")
    totals = []
    for engine in ("reference", "fast"):
        out, trace = tmp_path / f"{engine}.png", tmp_path / f"{engine}.jsonl"
        options = ("--recipe", tmp_path / "recipe.json", "--weights", random_weights, "--trace", trace, "-o", out)
        command = [sys.executable, "-m", "worker", "stylize", *images, *map(str, options), "--engine", engine]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        result = decode_png(out.read_bytes())
        assert (result.dtype, result.shape) == (np.uint16, (60, 80, 4))
        assert out.with_name(f"{engine}-0002.png").read_bytes() == out.read_bytes()
        assert out.with_name(f"{engine}-0001.png").read_bytes() != out.read_bytes()
        totals.append([json.loads(line)["total"] for line in trace.read_text().splitlines()])
    assert len(totals[0]) == 3
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    assert totals[0] != totals[1]  # they were computed differently


@pytest.mark.parametrize(("color_space", "expected"), [("auto", (250, 10, 20)), ("srgb", (255, 0, 0))])
def test_colors_that_srgb_lacks_are_kept_unless_srgb_is_asked_for(
    random_weights: Path, tmp_path: Path, color_space: str, expected: tuple[int, ...]
) -> None:
    content, style, out = tmp_path / "content.png", tmp_path / "style.png", tmp_path / "out.png"
    content.write_bytes(encode(solid("RGB", (250, 10, 20), (64, 64)), icc_profile=display_p3_profile()))
    style.write_bytes(encode_canonical_png(Image.fromarray(STYLE)))
    recipe = small("adam", size=64, stages=[{"scale": 1, "share": 1}], steps=1, style_weight=0, color_space=color_space)
    run(content, [style], recipe, Weights("path", random_weights, ""), out)
    assert deep_color.decode_stored(out.read_bytes()).color_space == ("srgb" if color_space == "srgb" else "display-p3")
    np.testing.assert_allclose(decode_png(out.read_bytes()).mean(axis=(0, 1)), expected, atol=3)


def test_a_style_is_used_as_by_a_worker_without_the_colors_of_its_transparent_parts(tmp_path: Path) -> None:
    def used(hidden: int) -> np.ndarray:
        (tmp_path / "style.png").write_bytes(
            encode_canonical_png(Image.fromarray(partly_transparent(visible=40, hidden=hidden)))
        )
        return _decode_style(tmp_path / "style.png", PRESETS["default"])

    np.testing.assert_array_equal(used(hidden=0), used(hidden=255))


def test_a_style_that_is_transparent_nearly_everywhere_is_refused_as_by_the_api(tmp_path: Path) -> None:
    content, style = tmp_path / "content.png", tmp_path / "style.png"
    content.write_bytes(encode_canonical_png(Image.fromarray(CONTENT)))
    style.write_bytes(encode_canonical_png(Image.fromarray(partly_transparent(visible=4))))
    with pytest.raises(InvalidMask, match=r"style.png: Less than 1% of the style image is used"):
        run(content, [style], resolve({"preset": "patches", "size": 64}), None, tmp_path / "out.png")


def test_the_time_left_is_known_after_two_steps_however_long_they_take() -> None:
    recipe, now, screen = PRESETS["patches"], 0.0, io.StringIO()
    schedule, postprocess = Schedule.from_recipe(recipe), Postprocess(CONTENT, recipe)
    console = Console(file=screen, get_time=lambda: now, force_terminal=True, width=120)
    with _progress_bar(recipe, console) as show:
        for step in range(2):
            now += 300.0
            image = np.zeros((64, 64, 3), np.float32)
            show(create_iterate(PatchState(step, image), recipe, schedule, postprocess), now)
    assert re.search(r"ETA \d:\d\d:\d\d", ANSI.sub("", screen.getvalue()).splitlines()[-1])


def partly_transparent(*, visible: int, hidden: int = 0) -> np.ndarray:
    """Return a style with a square of so many visible pixels a side, and the level of the transparent ones."""
    pixels = np.full((*STYLE.shape[:2], 4), (hidden, hidden, hidden, 0), np.uint8)
    pixels[:visible, :visible] = np.dstack([STYLE, np.full(STYLE.shape[:2], 255, np.uint8)])[:visible, :visible]
    return pixels
