"""An engine that sleeps instead of painting, behind worker/protocols.py: what it costs is time alone.

Its pictures are noise, but each depends on every step before it, so a step that is skipped, done twice or resumed
from a wrong state changes all that follow. Some seeds mean a job that kills, hangs or fills its worker.
"""

import hashlib
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import numpy as np

from chaos.scale import STEP_SECONDS
from easel.models import Losses
from shared import errors
from shared.images import encode_png
from shared.recipe import Recipe

JOBS_OF_A_LIFE: Final = 8
"""After which one is worn, as the engine that paints is after some shapes."""

_HEIGHT, _WIDTH = 36, 48
_KIND_BITS: Final = 24
_TRAP_STEP: Final = 12
_HANG_SECONDS: Final = 600.0
Canvas = np.ndarray


class Kind(IntEnum):
    """What a job does to its worker."""

    ORDINARY = 0
    POISON = 1  # kills it at every try
    HANGS = 2  # stops moving, the first time
    FILLS_ONCE = 3  # runs out of memory, the first time
    FILLS = 4  # runs out of memory at every try

    def seed(self, number: int) -> int:
        """A recipe's seed that means this."""
        return (self << _KIND_BITS) + number % (1 << _KIND_BITS)


@dataclass(frozen=True)
class Dream:
    """A frame."""

    step: int
    steps: int
    canvas: Canvas  # (H, W, 3) uint32
    drift: Canvas  # the same

    phase = "asleep"
    step_backoffs = 0

    @property
    def fraction(self) -> float:
        """As Frame says."""
        return self.step / self.steps

    @property
    def losses(self) -> Losses:
        """As Frame says; they mean nothing."""
        return Losses(total=1 / (1 + self.step), style=0, content=0, total_variation=0)

    @property
    def image(self) -> np.ndarray:
        """As Frame says."""
        return ((self.canvas >> 24) / np.float32(255)).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """As Frame says."""
        return {"step": self.step, "canvas": self.canvas, "drift": self.drift}

    def next(self, seed: int) -> "Dream":
        """One step on. The constants are those of Numerical Recipes' generator; overflow is meant."""
        canvas = self.canvas * np.uint32(1664525) + np.uint32(1013904223) + (self.drift ^ np.uint32(seed + self.step))
        drift = np.roll(self.drift, 1, axis=1) * np.uint32(22695477) + (canvas >> 16)
        return Dream(self.step + 1, self.steps, canvas, drift)


class Sleeper:
    """An Engine. `folder` is where a job that shall misbehave once leaves word that it did; `life` is in jobs."""

    def __init__(self, folder: Path | None, step_seconds: float = STEP_SECONDS, life: float = math.inf) -> None:
        self._folder, self._step_seconds, self._life = folder, step_seconds, life
        self._begun = 0

    def device(self) -> str:
        """As Engine says."""
        return "pillow"

    def environment(self) -> Mapping[str, Any]:
        """As Engine says."""
        return {"engine": "sleeper", "numpy": np.__version__}

    def weights(self) -> Mapping[str, str]:
        """As Engine says."""
        return {"source": "path", "sha256": hashlib.sha256(b"sleeper").hexdigest()}

    def stylize(
        self, content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, state: Mapping[str, Any] | None
    ) -> Iterator[Dream]:
        """As Engine says."""
        self._begun += 1
        dream = self.revive(recipe, state) if state else None
        while dream is None or dream.step < recipe.steps:
            time.sleep(self._step_seconds)
            dream = dream.next(recipe.seed) if dream else _first(content, styles, recipe)
            if dream.step == _TRAP_STEP and self._folder:
                self._spring(Kind(recipe.seed >> _KIND_BITS), recipe.seed)
            yield dream

    def revive(self, recipe: Recipe, state: Mapping[str, Any]) -> Dream:
        """As Engine says."""
        return Dream(int(state["step"]), recipe.steps, np.asarray(state["canvas"]), np.asarray(state["drift"]))

    def worn(self) -> bool:
        """As Engine says."""
        return self._begun >= self._life

    def _spring(self, kind: Kind, seed: int) -> None:
        if kind is Kind.POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind is Kind.FILLS or (kind is Kind.FILLS_ONCE and self._first_time(seed)):
            raise errors.OutOfMemory("The device has no memory left.")
        if kind is Kind.HANGS and self._first_time(seed):
            time.sleep(_HANG_SECONDS)

    def _first_time(self, seed: int) -> bool:
        try:
            (self._folder or Path()).joinpath(f"misbehaved-{seed}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def reference(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, step: int) -> str:
    """sha256 of that step's picture as it is published, of a run that nothing disturbs."""
    dream = _first(content, styles, recipe)
    for _ in range(step):
        dream = dream.next(recipe.seed)
    return hashlib.sha256(encode_png(dream.image)).hexdigest()


def _first(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe) -> Dream:
    """Step 0: noise that depends on every byte of the images and on the recipe."""
    told = [np.ascontiguousarray(image).tobytes() for image in (content, *styles)]
    digest = hashlib.sha256(b"".join([*told, recipe.model_dump_json().encode()])).digest()
    random = np.random.default_rng(list(digest))
    canvas, drift = random.integers(0, 2**32, (2, _HEIGHT, _WIDTH, 3), np.uint32)
    return Dream(0, recipe.steps, canvas, drift)
