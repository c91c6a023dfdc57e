"""`python -m benchmarks.quality.crowsonkb CHECKOUT`: render pairs with crowsonkb/style-transfer-pytorch.

CHECKOUT is a checkout of that repository: none of its code is in this one. Results that are in the output folder
already are not rendered again. The comparison in docs/explanation/patch-matching.md is:

    make .venv-torch/ready
    PYTHONPATH=tests .venv/bin/python -m benchmarks.quality.crowsonkb CHECKOUT --factor 0.025 --images FOLDER
    echo '{"preset": "tutorial", "size": 384, "steps": 100}' > tutorial.json
    make quality ARGS="default tutorial=tutorial.json --also crowsonkb --pairs held_out --images FOLDER"
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.engine.step import named_kernels
from benchmarks.gallery import ROOT
from benchmarks.quality.pairs import PAIRS, find, pair_name
from shared.presets import PRESETS
from worker.engine.weights.sources import resolve_weights

report: Final = Console(highlight=False).print
_PEER: Final = Path(__file__).with_name("crowsonkb_peer.py")


def main() -> None:
    """Render what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.crowsonkb", description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--factor", type=float, default=1, help="of the default numbers of iterations")
    parser.add_argument("--name", default="crowsonkb", help="of the results")
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-torch/bin/python")
    parser.add_argument("--pairs", choices=sorted(PAIRS), default="held_out")
    parser.add_argument("--only", nargs="*", metavar="PAIR", help="some of these pairs")
    parser.add_argument("--images", type=Path, help="folder with the files that pairs.json lists")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "quality")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    weights = resolve_weights("auto", cache=ROOT / "var" / "cache")
    report(weights.describe())
    with tempfile.TemporaryDirectory() as folder:
        kernels, inputs = Path(folder, "kernels.npz"), [Path(folder, f"{name}.png") for name in ("content", "style")]
        np.savez(kernels, **named_kernels(weights.path))  # type: ignore[arg-type]  # its second parameter is no array
        for pair in PAIRS[options.pairs]:
            result = options.out / f"{pair_name(pair)}.{options.name}.png"
            if result.exists() or (options.only and pair_name(pair) not in options.only):
                continue
            for name, path in zip(pair, inputs, strict=True):
                Image.fromarray(find(name, options.images)).save(path)
            size, factor = str(PRESETS["default"].size), str(options.factor)
            command = [options.python, _PEER, options.checkout, kernels, size, factor, *inputs, result]
            seconds = float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            result.with_suffix(".json").write_text(json.dumps({"cpu_seconds": seconds}))
            report(f"{pair_name(pair)}: {seconds:.0f} s of CPU time")


if __name__ == "__main__":
    main()
