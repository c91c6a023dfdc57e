"""What is painted in the benchmarks: a photo, a painting, weights, and the tutorial's objective for them."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from shared.recipe import LBFGS, PRESETS, Recipe
from worker.engine import Iterate, stylize
from worker.engine.kept import Evaluate, Kept
from worker.engine.objective import mixed
from worker.engine.weights import Weights, resolve_weights

BESIDE: Final = Path(__file__).parents[4] / "shared"
_MOST: Final = 1000  # steps
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """One size: `width` x `height` of 4 : 3, uint8 pictures."""

    width: int
    weights: Weights

    @property
    def height(self) -> int:
        """Pixels."""
        return self.width * 3 // 4

    @property
    def recipe(self) -> Recipe:
        """The tutorial's, at this size."""
        return PRESETS["tutorial"].model_copy(update={"size": self.width})

    @cached_property
    def content(self) -> Picture:
        """(height, width, 3)."""
        return self._picture("neckarfront.jpg", data.chelsea)

    @cached_property
    def style(self) -> Picture:
        """(height, width, 3)."""
        return self._picture("starry_night.jpg", data.coffee)

    def floats(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Content and style in [0, 1]."""
        return as_floats(self.content), as_floats(self.style)

    def evaluation(self, kept: Kept) -> tuple[Evaluate, tf.Tensor]:
        """The engine's loss and gradient for the tutorial's objective, and the first image."""
        content, style = self.floats()
        grams = kept.grams(self.weights, self.recipe, style, self.width)
        image = tf.constant(content)
        return kept.step(self.weights, self.recipe, content.shape).towards(mixed([grams], self.recipe), image), image

    def step(self) -> Callable[[], float]:
        """One evaluation of it, traced at the first call, and its total loss."""
        evaluate, image = self.evaluation(Kept())
        return lambda: float(evaluate(image)[0][0])

    def painting(self) -> Iterator[Iterate]:
        """A run with L-BFGS, as long as you like."""
        recipe = self.recipe.model_copy(update={"optimizer": LBFGS(), "steps": _MOST})
        return stylize(self.content, [self.style], recipe, weights=self.weights)

    def _picture(self, name: str, otherwise: Callable[[], Picture]) -> Picture:
        found = BESIDE / "images" / name
        picture = Image.open(found).convert("RGB") if found.exists() else Image.fromarray(otherwise())
        return np.asarray(picture.resize((self.width, self.height), Image.Resampling.BICUBIC))


def best_weights() -> Weights:
    """ImageNet's where they lie beside the checkout or can be had, else calibrated ones: the speed is the same."""
    return resolve_weights("auto", cache=Path("~/.cache/easel").expanduser())


def png(picture: Picture) -> bytes:
    """As it is uploaded."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def as_floats(picture: Picture) -> NDArray[np.float32]:
    """In [0, 1]."""
    return np.divide(picture, 255, dtype=np.float32)
