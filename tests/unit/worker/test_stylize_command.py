"""`easel-worker stylize` in a separate process: both engines render the same image."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.requirements import ROOT
from support.small_runs import CONTENT, STYLE, small

from shared.imaging.deep_color import decode_png
from shared.imaging.images import encode_canonical_png


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
