"""The metrics and ballots of `make quality`."""

import json
import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from benchmarks.quality import ballots, plots
from benchmarks.quality.__main__ import Comparison
from benchmarks.quality.metrics import color_distance, weave
from benchmarks.quality.pairs import PAIRS, pair_name
from PIL import Image

from worker.engine.model import load_vgg19
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.random((128, 96, 3), np.float32)


def test_lines_along_an_axis_are_a_weave_and_diagonal_ones_are_not() -> None:
    rows, columns = np.indices((128, 96))
    along, diagonal = (
        (0.5 + 0.2 * np.sin(phase)[..., np.newaxis]).repeat(3, axis=-1).astype(np.float32)
        for phase in (2 * np.pi * 0.45 * columns, 2 * np.pi * 0.32 * (rows + columns))
    )
    assert weave(NOISE) == pytest.approx(1, abs=0.3)
    assert weave(0.02 * NOISE + along) > 3
    assert weave(0.02 * NOISE + diagonal) < 0.3


def test_the_color_distance_ignores_where_colors_are() -> None:
    shuffled = RANDOM.permutation(NOISE.reshape(-1, 3)).reshape(NOISE.shape)
    assert color_distance(NOISE, shuffled) == pytest.approx(0, abs=1e-6)
    assert color_distance(NOISE, NOISE / 2) > 0.05


def test_no_pair_is_both_for_tuning_and_held_out() -> None:
    tuning, held_out = (set(map(pair_name, PAIRS[kind])) for kind in ("tuning", "held_out"))
    assert not tuning & held_out
    assert len(held_out) == 20


def test_ballots_hide_the_recipes_and_votes_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [("chelsea", "poppies.jpg"), ("coffee", "tide.jpg"), ("astronaut", "starlit.jpg")]
    not_rendered = ("coffee", "poppies.jpg")
    monkeypatch.setitem(PAIRS, "tuning", [*pairs, not_rendered])  # type: ignore[misc]  # a Mapping for readers
    for pair in pairs:
        for name, level in (("new", 250), ("old", 5)):
            Image.new("RGB", (96, 64), (level,) * 3).save(tmp_path / f"{pair_name(pair)}.{name}.png")
    arguments = ["new", "old", "--pairs", "tuning", "--results", str(tmp_path), "--out", str(tmp_path / "ballots")]
    monkeypatch.setattr(sys, "argv", ["ballots", *arguments])
    ballots.main()
    key = json.loads((tmp_path / "ballots/ballots.json").read_text())
    sheets = sorted((tmp_path / "ballots").glob("*.jpg"))
    assert [sheet.stem for sheet in sheets] == ["ballot-01", "ballot-02", "ballot-03"]
    votes = {f"{n:02}": 1 if key[f"{n:02}"]["1"] == "new" else 2 for n in (1, 2, 3)}
    minority = {ballot: 3 - choice for ballot, choice in votes.items()}
    (tmp_path / "ballots/votes.json").write_text(json.dumps({"a": votes, "b": votes, "c": minority}))
    ballots.main()
    assert "pairs won: {'new': 3}; votes: {'new': 6, 'old': 3}" in capsys.readouterr().out


def test_results_of_other_programs_are_measured_where_there_are_any(tmp_path: Path, random_weights: Path) -> None:
    first, second = ("chelsea", "poppies.jpg"), ("coffee", "tide.jpg")
    Image.fromarray(np.uint8(255 * NOISE)).save(tmp_path / f"{pair_name(first)}.rival.png")
    (tmp_path / f"{pair_name(first)}.rival.json").write_text('{"cpu_seconds": 7}')
    weights = Weights("path", random_weights, "")
    comparison = Comparison({}, ["rival"], weights, load_vgg19(random_weights), None, tmp_path)
    (row,) = [row for pair in (first, second) for row in comparison.rows(pair)]
    assert (row["pair"], row["recipe"]) == (pair_name(first), "rival")
    assert row["cpu_seconds"] == 7
    assert row["style_distance"] > 0


def test_the_plot_names_recipes_and_says_which_have_fewer_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(mpl.rcParams, "svg.fonttype", "none")  # text as text
    measures = {"style_distance": 0.02, "content_ssim": 0.5, "cpu_seconds": 40}
    rows = [{"recipe": recipe, **measures} for recipe in ("default", "default", "rival")]
    plots.draw(rows, ["default", "rival"], tmp_path / "plot.svg")
    text = (tmp_path / "plot.svg").read_text()
    assert ">default<" in text
    assert ">rival (only 1 of 2 pairs)<" in text
