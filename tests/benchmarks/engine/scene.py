"""What is painted in the benchmarks, towards the tutorial's objective: a photo and a painting; and by whom."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from benchmarks.processes import module
from shared.recipe import PRESETS, Recipe
from shared.settings import Settings
from worker.engine.weights.sources import Weights, resolve_weights

BESIDE: Final = Path(__file__).parents[4] / "shared"
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

    def plane(self, layer: str) -> tuple[int, int]:
        """Height and width of a layer of VGG19: halved from block to block."""
        step_backoffs = int(layer[len("block")]) - 1
        return self.height >> step_backoffs, self.width >> step_backoffs

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

    def ours(self, optimizer: str = "adam", path: str = "auto") -> tuple[str, ...]:
        """The command that starts the engine as a peer, "adam" being the tutorial's optimizer, the other "lbfgs"."""
        return module("benchmarks.engine.ours", str(self.width), optimizer, path)

    def theirs(self) -> tuple[str, ...]:
        """The same for the tutorial's loop."""
        return module("benchmarks.engine.tutorial", str(self.width))

    def digest(self, *more: object) -> str:
        """Of the pictures, the weights and `more`: short, for the names of files."""
        parts = [self.content.tobytes(), self.style.tobytes(), f"{self.width} {self.weights.sha256} {more}".encode()]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def _picture(self, name: str, otherwise: Callable[[], Picture]) -> Picture:
        found = BESIDE / "images" / name
        picture = Image.open(found).convert("RGB") if found.exists() else Image.fromarray(otherwise())
        return np.asarray(picture.resize((self.width, self.height), Image.Resampling.BICUBIC))


def best_weights() -> Weights:
    """Those of EASEL_WEIGHTS, else ImageNet's if they can be had, else calibrated ones: the speed is the same."""
    return resolve_weights(Settings().weights, cache=Path("~/.cache/easel").expanduser())


def png(picture: Picture) -> bytes:
    """As it is uploaded."""
    data = io.BytesIO()
    Image.fromarray(picture).save(data, "PNG")
    return data.getvalue()


def as_floats(picture: Picture) -> NDArray[np.float32]:
    """In [0, 1]."""
    return np.divide(picture, 255, dtype=np.float32)
