"""A fake engine that needs no network: it recolors the photo with the colors of the styles, a little more each step.

It follows worker/protocols.py like the TensorFlow engine, and waits between steps, so that pages show progress.
"""

import hashlib
import itertools
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
from worker.protocols import ReportPreparation

DIVERGING_SEED: Final = 666
"""A recipe with this seed fails halfway, like a job whose loss diverges."""


@dataclass(frozen=True)
class BlendIterate:
    """The state after one step. Properties are documented in worker/protocols.py."""

    step: int
    recipe: Recipe
    photo: np.ndarray  # (H, W, 3) float32 in [0, 1], as large as the result
    recolored: np.ndarray  # the same shape and range
    step_backoffs = 0

    @property
    def size(self) -> int:
        """Return the longest side in this stage, in pixels."""
        evaluations = self.step - len(self.recipe.patch_iterations())
        ends = itertools.accumulate(steps for _, steps in self.recipe.schedule())
        return next(size for (size, _), end in zip(self.recipe.schedule(), ends, strict=True) if evaluations <= end)

    @property
    def phase(self) -> str:
        """See Iterate."""
        iterations = self.recipe.patch_iterations()
        if self.step < len(iterations):
            return f"patches, {iterations[self.step].longest_side} px"
        return f"{self.size} px"

    @property
    def fraction(self) -> float:
        """See Iterate."""
        return self.step / self.recipe.total_steps

    @property
    def losses(self) -> Losses:
        """Return curves of a realistic shape."""
        style, content = 40 * math.exp(-5 * self.fraction) + 0.8, 0.02 + 0.9 * self.fraction**0.3
        variation = 0.3 * math.exp(-2 * self.fraction) + 0.05
        return Losses(total=style + content + variation, style=style, content=content, total_variation=variation)

    @property
    def image(self) -> np.ndarray:
        """See Iterate."""
        share = np.float32(self.fraction**0.5)
        blend = np.clip((1 - share) * self.photo + share * self.recolored, 0, 1)
        return _resize((255 * blend).astype(np.uint8), self.size)

    def state(self) -> dict[str, Any]:
        """See Iterate."""
        return {"step": self.step, "photo": self.photo, "recolored": self.recolored}

    def next(self) -> "BlendIterate":
        """Return the state after the next step."""
        return BlendIterate(self.step + 1, self.recipe, self.photo, self.recolored)


class BlendEngine:
    """Takes `step_seconds` per step. Methods are documented in worker/protocols.py."""

    def __init__(self, step_seconds: float) -> None:
        self._step_seconds = step_seconds

    def device(self) -> str:
        """See Engine."""
        return "cpu:2"

    def environment(self) -> Mapping[str, Any]:
        """See Engine."""
        return {"engine": "blend", "numpy": np.__version__}

    def weights_seconds(self) -> float:
        """See Engine."""
        return 0.0

    def weights(self, _report: ReportPreparation) -> Mapping[str, str]:
        """See Engine."""
        return {"source": "path", "sha256": hashlib.sha256(b"blend").hexdigest()}

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        recipe: Recipe,
        state: Mapping[str, Any] | None,
        **_images: Any,
    ) -> Iterator[BlendIterate]:
        """See Engine."""
        iterate = self.restore_iterate(content, recipe, state) if state else None
        while iterate is None or iterate.step < recipe.total_steps:
            time.sleep(self._step_seconds)
            iterate = iterate.next() if iterate else _first_iterate(content, styles, recipe)
            if recipe.seed == DIVERGING_SEED and iterate.step > recipe.total_steps // 2:
                raise errors.Diverged("The loss diverged; a lower style weight may help.")
            yield iterate

    def restore_iterate(
        self, _content: np.ndarray, recipe: Recipe, state: Mapping[str, Any], **_images: Any
    ) -> BlendIterate:
        """See Engine."""
        photo, recolored = np.asarray(state["photo"]), np.asarray(state["recolored"])
        return BlendIterate(int(state["step"]), recipe, photo, recolored)

    def needs_restart(self) -> bool:
        """See Engine."""
        return False


def _first_iterate(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe) -> BlendIterate:
    photo = _resize(content, recipe.size)
    weights = recipe.style_mix or (1.0,) * len(styles)
    weighted = [weight * _recolor(photo, style) for weight, style in zip(weights, styles, strict=True)]
    recolored = sum(weighted[1:], weighted[0]) / np.float32(sum(weights))
    return BlendIterate(0, recipe, photo, recolored)


def _resize(image: np.ndarray, longest_side: int) -> np.ndarray:
    resized = Image.fromarray(image)
    resized.thumbnail((longest_side, longest_side))
    return np.asarray(resized, np.float32) / 255


def _recolor(photo: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Replace each brightness of the photo by the style's color of the same rank, in patches like broad strokes."""
    height, width, _ = photo.shape
    coarse = Image.fromarray((photo * 255).astype(np.uint8)).resize((max(1, width // 5), max(1, height // 5)))
    gray = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC).convert("L"), np.float32).ravel()
    colors = _resize(style, 128).reshape(-1, 3)
    colors = colors[np.argsort(colors.sum(axis=1), kind="stable")]
    ranks = np.argsort(np.argsort(gray, kind="stable"), kind="stable") * (len(colors) - 1) // max(1, len(gray) - 1)
    return 0.75 * colors[ranks].reshape(photo.shape) + 0.25 * photo
