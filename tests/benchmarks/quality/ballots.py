"""`python -m benchmarks.quality.ballots A B`: sheets for a blind vote between the results of two recipes.

A ballot shows the photo, the painting, and the two results as 1 and 2, in random order. `ballots.json` says which is
which; voters do not see it. Pairs that lack a result have no ballot. Once the folder has
`votes.json`, {judge: {ballot: 1 or 2}}, the command counts them.
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.gallery import ROOT
from benchmarks.quality.pairs import PAIRS, find, pair_name, sheet

report: Final = Console(highlight=False).print
_HEIGHT: Final = 512


def main() -> None:
    """Write the ballots, or count the votes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.ballots", description=__doc__)
    parser.add_argument("recipes", nargs=2, metavar="RECIPE")
    parser.add_argument("--pairs", choices=sorted(PAIRS), default="held_out")
    parser.add_argument("--images", type=Path, help="folder with the files that pairs.json lists")
    parser.add_argument("--results", type=Path, default=ROOT / "out" / "quality")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "ballots")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if (votes := options.out / "votes.json").exists():
        return _count(json.loads(votes.read_text()), json.loads((options.out / "ballots.json").read_text()))
    options.out.mkdir(parents=True, exist_ok=True)
    generator, key = random.Random(options.seed), {}  # noqa: S311 - reproducible, not secret
    pairs = [pair for pair in PAIRS[options.pairs] if all(map(Path.exists, _results(options, pair, options.recipes)))]
    for number, pair in enumerate(generator.sample(pairs, len(pairs)), start=1):
        order = generator.sample(options.recipes, 2)
        content, style = (find(part, options.images) for part in pair)
        results = [np.asarray(Image.open(path)) for path in _results(options, pair, order)]
        ballot = sheet({"photo": content, "painting": style, "1": results[0], "2": results[1]}, _HEIGHT)
        ballot.save(options.out / f"ballot-{number:02}.jpg", quality=95)
        key[f"{number:02}"] = {"pair": pair_name(pair), "1": order[0], "2": order[1]}
    (options.out / "ballots.json").write_text(json.dumps({"seed": options.seed, **key}, indent=1) + "\n")
    return report(f"{len(key)} ballots in {options.out}")


def _results(options: argparse.Namespace, pair: tuple[str, str], recipes: list[str]) -> list[Path]:
    return [options.results / f"{pair_name(pair)}.{name}.png" for name in recipes]


def _count(votes: dict[str, dict[str, int]], key: dict[str, dict[str, str]]) -> None:
    """Print each pair's votes, and how many pairs and votes each recipe won."""
    pairs: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for ballot in sorted(next(iter(votes.values()))):
        counts = Counter(key[ballot][str(choices[ballot])] for choices in votes.values())
        (winner, _), *_ = counts.most_common()
        report(f"{ballot} {key[ballot]['pair']}: {dict(counts)}")
        pairs[winner] += 1
        total += counts
    report(f"pairs won: {dict(pairs)}; votes: {dict(total)}")


if __name__ == "__main__":
    main()
