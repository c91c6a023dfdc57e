"""An engine that needs no network: it gives the photo the painting's colours, little by little, and waits between.

Behind worker/protocols.py, as the one that paints. What a page shows of it is a picture that emerges.
"""

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from easel.models import Losses
from shared import errors
from shared.recipe import Recipe

DOOMED: Final = 666
"""A recipe's seed that ends as a job does that diverges."""


@dataclass(frozen=True)
class Sketch:
    """A frame."""

    step: int
    steps: int
    size: int  # pixels of the longest side
    photo: np.ndarray  # (H, W, 3) float32 in [0, 1]
    painted: np.ndarray  # the same, when all is done
    step_backoffs = 0

    @property
    def phase(self) -> str:
        """As Frame says."""
        return f"{self.size} px"

    @property
    def fraction(self) -> float:
        """As Frame says."""
        return self.step / self.steps

    @property
    def losses(self) -> Losses:
        """As Frame says: curves of the shape that real ones have."""
        style, content = 40 * math.exp(-5 * self.fraction) + 0.8, 0.02 + 0.9 * self.fraction**0.3
        variation = 0.3 * math.exp(-2 * self.fraction) + 0.05
        return Losses(total=style + content + variation, style=style, content=content, total_variation=variation)

    @property
    def image(self) -> np.ndarray:
        """As Frame says."""
        share = np.float32(self.fraction**0.5)
        return np.clip((1 - share) * self.photo + share * self.painted, 0, 1)

    def state(self) -> dict[str, Any]:
        """As Frame says."""
        return {"step": self.step, "photo": self.photo, "painted": self.painted}

    def next(self) -> "Sketch":
        """One step on."""
        return Sketch(self.step + 1, self.steps, self.size, self.photo, self.painted)


class Gradual:
    """An Engine; a step takes `step_seconds`."""

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds

    def device(self) -> str:
        """As Engine says."""
        return "cpu:2"

    def environment(self) -> Mapping[str, Any]:
        """As Engine says."""
        return {"engine": "gradual", "numpy": np.__version__}

    def weights(self) -> Mapping[str, str]:
        """As Engine says."""
        return {"source": "path", "sha256": hashlib.sha256(b"gradual").hexdigest()}

    def stylize(
        self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
    ) -> Iterator[Sketch]:
        """As Engine says."""
        sketch = self.revive(recipe, state) if state else None
        while sketch is None or sketch.step < recipe.steps:
            time.sleep(self._step_seconds)
            sketch = sketch.next() if sketch else _first(content, styles, recipe)
            if recipe.seed == DOOMED and sketch.step > recipe.steps // 2:
                raise errors.Diverged("The loss grew without bounds; a lower style weight may help.")
            yield sketch

    def revive(self, recipe: Recipe, state: Mapping[str, Any]) -> Sketch:
        """As Engine says."""
        photo, painted = np.asarray(state["photo"]), np.asarray(state["painted"])
        return Sketch(int(state["step"]), recipe.steps, recipe.size, photo, painted)

    def worn(self) -> bool:
        """As Engine says."""
        return False


def _first(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe) -> Sketch:
    photo = _scaled(content, recipe.size)
    shares = recipe.style_mix or (1.0,) * len(styles)
    mixed = [share * _recoloured(photo, style) for share, style in zip(shares, styles, strict=True)]
    painted = sum(mixed[1:], mixed[0]) / np.float32(sum(shares))
    return Sketch(0, recipe.steps, recipe.size, photo, painted)


def _scaled(image: np.ndarray, longest: int) -> np.ndarray:
    picture = Image.fromarray(image)
    picture.thumbnail((longest, longest))
    return np.asarray(picture, np.float32) / 255


def _recoloured(photo: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Each brightness of the photo becomes the colour of that rank in the style, in patches as of a broad brush."""
    height, width, _ = photo.shape
    rough = Image.fromarray((photo * 255).astype(np.uint8)).resize((max(1, width // 5), max(1, height // 5)))
    grey = np.asarray(rough.resize((width, height), Image.Resampling.BICUBIC).convert("L"), np.float32).ravel()
    colours = _scaled(style, 128).reshape(-1, 3)
    colours = colours[np.argsort(colours.sum(axis=1), kind="stable")]
    ranks = np.argsort(np.argsort(grey, kind="stable"), kind="stable") * (len(colours) - 1) // max(1, len(grey) - 1)
    return 0.75 * colours[ranks].reshape(photo.shape) + 0.25 * photo
