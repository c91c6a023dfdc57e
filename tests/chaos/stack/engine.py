"""An engine that sleeps instead of computing, for worker/protocols.py.

Its images are noise, but each depends on every step before it: a step that is skipped, repeated or resumed from a
wrong state changes all later images. Some seeds make a job kill its worker, hang, or run out of memory.
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

from chaos.timeouts import STEP_SECONDS
from easel.models import Losses
from shared import errors
from shared.imaging.encoding import encode_png
from shared.recipe import Recipe
from worker.protocols import ReportPreparation

JOBS_PER_PROCESS: Final = 8
"""Jobs until the engine asks for a new process, as the real engine does after some image sizes."""

_HEIGHT, _WIDTH = 36, 48
_KIND_BITS: Final = 24
_MISBEHAVIOR_STEP: Final = 12
_HANG_SECONDS: Final = 600.0
Canvas = np.ndarray


class JobKind(IntEnum):
    """How a job harms its worker."""

    ORDINARY = 0
    POISON = 1  # kills it at every attempt
    HANGS_ONCE = 2  # at the first attempt
    OUT_OF_MEMORY_ONCE = 3  # at the first attempt
    OUT_OF_MEMORY = 4  # at every attempt

    def seed(self, number: int) -> int:
        """Return a recipe's seed for this kind."""
        return (self << _KIND_BITS) + number % (1 << _KIND_BITS)


@dataclass(frozen=True)
class SleepIterate:
    """An Iterate of noise."""

    step: int
    steps: int
    canvas: Canvas  # (H, W, 3) uint32
    drift: Canvas  # the same

    phase = "sleeping"
    step_backoffs = 0

    @property
    def fraction(self) -> float:
        """See Iterate."""
        return self.step / self.steps

    @property
    def losses(self) -> Losses:
        """See Iterate; the numbers have no meaning."""
        return Losses(total=1 / (1 + self.step), style=0, content=0, total_variation=0)

    @property
    def image(self) -> np.ndarray:
        """See Iterate."""
        return ((self.canvas >> 24) / np.float32(255)).astype(np.float32)

    def state(self) -> dict[str, Any]:
        """See Iterate."""
        return {"step": self.step, "canvas": self.canvas, "drift": self.drift}

    def next(self, seed: int) -> "SleepIterate":
        """Return the next step. The constants are those of Numerical Recipes' generator; overflow is intended."""
        canvas = self.canvas * np.uint32(1664525) + np.uint32(1013904223) + (self.drift ^ np.uint32(seed + self.step))
        drift = np.roll(self.drift, 1, axis=1) * np.uint32(22695477) + (canvas >> 16)
        return SleepIterate(self.step + 1, self.steps, canvas, drift)


class SleepingEngine:
    """An Engine. `folder` gets a marker for each job that misbehaves only once; None: no job misbehaves."""

    def __init__(self, folder: Path | None, step_seconds: float = STEP_SECONDS, max_jobs: float = math.inf) -> None:
        self._folder, self._step_seconds, self._max_jobs = folder, step_seconds, max_jobs
        self._jobs_begun = 0

    def device(self) -> str:
        """See Engine."""
        return "pillow"

    def environment(self) -> Mapping[str, Any]:
        """See Engine."""
        return {"engine": "sleeping", "numpy": np.__version__}

    def weights_seconds(self) -> float:
        """See Engine."""
        return 0.0

    def weights(self, _report: ReportPreparation) -> Mapping[str, str]:
        """See Engine."""
        return {"source": "path", "sha256": hashlib.sha256(b"sleeping").hexdigest()}

    def stylize(
        self,
        content: np.ndarray,
        styles: Sequence[np.ndarray],
        recipe: Recipe,
        state: Mapping[str, Any] | None,
        **_images: Any,
    ) -> Iterator[SleepIterate]:
        """See Engine."""
        self._jobs_begun += 1
        iterate = self.restore_iterate(content, recipe, state) if state else None
        while iterate is None or iterate.step < recipe.total_steps:
            time.sleep(self._step_seconds)
            iterate = iterate.next(recipe.seed) if iterate else _first(content, styles, recipe)
            if iterate.step == _MISBEHAVIOR_STEP and self._folder:
                self._misbehave(JobKind(recipe.seed >> _KIND_BITS), recipe.seed)
            yield iterate

    def restore_iterate(
        self, _content: np.ndarray, recipe: Recipe, state: Mapping[str, Any], **_images: Any
    ) -> SleepIterate:
        """See Engine."""
        canvas, drift = np.asarray(state["canvas"]), np.asarray(state["drift"])
        return SleepIterate(int(state["step"]), recipe.total_steps, canvas, drift)

    def needs_restart(self) -> bool:
        """See Engine."""
        return self._jobs_begun >= self._max_jobs

    def _misbehave(self, kind: JobKind, seed: int) -> None:
        if kind is JobKind.POISON:
            os.kill(os.getpid(), signal.SIGKILL)
        if kind is JobKind.OUT_OF_MEMORY or (kind is JobKind.OUT_OF_MEMORY_ONCE and self._first_time(seed)):
            raise errors.OutOfMemory("The device has no memory left.")
        if kind is JobKind.HANGS_ONCE and self._first_time(seed):
            time.sleep(_HANG_SECONDS)

    def _first_time(self, seed: int) -> bool:
        try:
            (self._folder or Path()).joinpath(f"misbehaved-{seed}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def reference_digest(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe, step: int) -> str:
    """Return the sha256 of that step's image as it is published in a run without faults, of a photo in sRGB."""
    iterate = _first(content, styles, recipe.in_space("srgb"))
    for _ in range(step):
        iterate = iterate.next(recipe.seed)
    return hashlib.sha256(encode_png(iterate.image)).hexdigest()


def _first(content: np.ndarray, styles: Sequence[np.ndarray], recipe: Recipe) -> SleepIterate:
    """Return step 0: noise that depends on every byte of the images and on the recipe."""
    images = [np.ascontiguousarray(image).tobytes() for image in (content, *styles)]
    digest = hashlib.sha256(b"".join([*images, recipe.model_dump_json().encode()])).digest()
    random = np.random.default_rng(list(digest))
    canvas, drift = random.integers(0, 2**32, (2, _HEIGHT, _WIDTH, 3), np.uint32)
    return SleepIterate(0, recipe.total_steps, canvas, drift)
