"""`python -m benchmarks.quality`: render pairs with several recipes, and write metrics, contact sheets and a plot.

A recipe is the name of a preset, or NAME=FILE with a JSON file of fields. Results that are in the output folder already
are not rendered again: use another folder after a change of the engine. `--also` names results of other programs there,
PAIR.NAME.png with {"cpu_seconds": ...} in PAIR.NAME.json; pairs without one are left out.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.gallery import ROOT
from benchmarks.quality import plots
from benchmarks.quality.metrics import Metrics
from benchmarks.quality.pairs import PAIRS, find, pair_name, sheet
from shared.imaging.encoding import encode_png
from shared.presets import adapted_to_weights, resolve
from shared.recipe import Recipe
from worker.devices.device import configure_tensorflow
from worker.engine import stylize
from worker.engine.image_ops import as_tensor, resize, resize_longest_side
from worker.engine.model import load_vgg19
from worker.engine.weights.sources import Weights, resolve_weights

report: Final = Console(highlight=False).print
_SHEET_HEIGHT: Final = 384
Row = dict[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The recipes that render each pair, and what they need."""

    recipes: Mapping[str, Recipe]
    also: Sequence[str]
    weights: Weights
    vgg19: keras.Model
    images: Path | None
    out: Path

    def rows(self, pair: tuple[str, str]) -> Iterator[Row]:
        """Render a pair with each recipe, yield the metrics, and write the sheet."""
        content, style = (find(part, self.images) for part in pair)
        results = {}
        for name in (*self.recipes, *self.also):
            path = self.out / f"{pair_name(pair)}.{name}.png"
            if not path.exists():
                if name not in self.recipes:
                    continue
                self._render(content, style, self.recipes[name], path)
            results[name] = np.asarray(Image.open(path))
            row = {"pair": pair_name(pair), "recipe": name, **self._metrics(content, style, results[name])}
            yield row | json.loads(path.with_suffix(".json").read_text())
        contact_sheet = sheet({"photo": content, "painting": style, **results}, _SHEET_HEIGHT)
        contact_sheet.save(self.out / f"{pair_name(pair)}.jpg", quality=90)

    def _render(self, content: NDArray[Any], style: NDArray[Any], recipe: Recipe, path: Path) -> None:
        started = time.process_time()
        recipe = adapted_to_weights(recipe, self.weights.source)
        *_, last = stylize(content, [style], recipe, weights=self.weights)
        seconds = round(time.process_time() - started, 1)
        path.with_suffix(".json").write_text(json.dumps({"cpu_seconds": seconds}))
        path.write_bytes(encode_png(last.image))

    def _metrics(self, content: NDArray[Any], style: NDArray[Any], result: NDArray[np.uint8]) -> Mapping[str, float]:
        shape = result.shape[:2]
        photo, painting = resize(as_tensor(content), shape), resize_longest_side(as_tensor(style), max(shape))
        return Metrics(self.vgg19, photo.numpy(), painting.numpy()).of(as_tensor(result).numpy())


def main() -> None:
    """Render what the command line names, and report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("recipes", nargs="*", default=["default", "fast", "patches", "tutorial"], metavar="RECIPE")
    parser.add_argument("--also", nargs="*", default=[], metavar="NAME", help="results of other programs")
    parser.add_argument("--pairs", choices=sorted(PAIRS), default="tuning")
    parser.add_argument("--images", type=Path, help="folder with the files that pairs.json lists")
    parser.add_argument("--weights", default="auto", help="as EASEL_WEIGHTS; the style distance depends on them, too")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "quality")
    options = parser.parse_args()
    configure_tensorflow(0)
    weights = resolve_weights(options.weights, cache=ROOT / "var" / "cache")
    report(weights.describe())
    options.out.mkdir(parents=True, exist_ok=True)
    recipes = dict(map(_recipe, options.recipes))
    comparison = Comparison(recipes, options.also, weights, load_vgg19(weights.path), options.images, options.out)
    rows: list[Row] = []
    for pair in PAIRS[options.pairs]:
        try:
            for row in comparison.rows(pair):
                report(", ".join(f"{name} {_text(value)}" for name, value in row.items()))
                rows.append(row)
        except FileNotFoundError as missing:
            report(f"{pair_name(pair)}: skipped, there is no {missing}")
    (options.out / f"{options.pairs}.json").write_text(json.dumps(rows, indent=1) + "\n")
    names = [name for name in (*recipes, *options.also) if any(row["recipe"] == name for row in rows)]
    if names:
        plots.draw(rows, names, options.out / f"{options.pairs}.png")
    report(_table(rows, names))


def _recipe(text: str) -> tuple[str, Recipe]:
    name, _, file = text.partition("=")
    return name, resolve(json.loads(Path(file).read_text()) if file else {"preset": name})


def _table(rows: list[Row], recipes: list[str]) -> Table:
    """Return each recipe's medians over all pairs."""
    names = [name for name in rows[0] if name not in {"pair", "recipe"}] if rows else []
    table = Table("median of", *names)
    for recipe in recipes if rows else ():
        medians = [median(row[name] for row in rows if row["recipe"] == recipe) for name in names]
        table.add_row(recipe, *map(_text, medians))
    return table


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
