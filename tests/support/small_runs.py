"""Runs of the engine that take less than a second: small images, shallow layers, few steps."""

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.presets import resolve
from shared.recipe import Recipe
from worker.engine import Iterate, stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import Weights

RANDOM = np.random.default_rng(5)
CONTENT = RANDOM.integers(0, 256, (60, 80, 3), np.uint8)
STYLE = RANDOM.integers(0, 256, (70, 64, 3), np.uint8)
CACHE = Cache()


def small(kind: str = "lbfgs", **fields: Any) -> Recipe:
    """Return a recipe of eight updates, four at 64 pixels and four at 80, with shallow layers, which are fast."""
    return resolve(
        {
            "init": "content",
            "size": 80,
            "steps": 8,
            "stages": [{"scale": 0.8, "share": 0.5}, {"scale": 1, "share": 0.5}],
            "style_layers": {"block1_conv1": 0.5, "block2_conv1": 0.5},
            "content_layers": {"block2_conv2": 1.0},
            "padding": 3,
            "optimizer": {"kind": kind, **({"learning_rate": 0.02} if kind == "adam" else {"history": 5})},
            **fields,
        }
    )


def start(weights: Weights, recipe: Recipe, **arguments: Any) -> Iterator[Iterate]:
    """Start a run, by default with the cache of earlier runs: it saves most of the time and changes no byte."""
    return stylize(CONTENT, [STYLE], recipe, weights=weights, **{"cache": CACHE, **arguments})


def run(weights: Weights, recipe: Recipe, **arguments: Any) -> list[Iterate]:
    return list(start(weights, recipe, **arguments))


def digest(image: NDArray[np.float32]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
