"""The inputs of the benchmarks (a photo, a style image, the tutorial's recipe) and the commands of the peers."""

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
from shared.presets import PRESETS
from shared.recipe import Recipe
from shared.settings import Settings
from worker.engine.weights.sources import Weights, resolve_weights

SIBLING_FOLDER: Final = Path(__file__).parents[4] / "shared"
ImageArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Workload:
    """One size, `width` x `height` of 4 : 3, with uint8 images."""

    width: int
    weights: Weights

    @property
    def height(self) -> int:
        """Pixels."""
        return self.width * 3 // 4

    def layer_size(self, layer: str) -> tuple[int, int]:
        """Return height and width of a layer of VGG19, which halve from block to block."""
        poolings = int(layer[len("block")]) - 1
        return self.height >> poolings, self.width >> poolings

    @property
    def recipe(self) -> Recipe:
        """The preset `tutorial` at this size."""
        return PRESETS["tutorial"].model_copy(update={"size": self.width})

    @cached_property
    def content(self) -> ImageArray:
        """(height, width, 3)."""
        return self._image("neckarfront.jpg", data.chelsea)

    @cached_property
    def style(self) -> ImageArray:
        """(height, width, 3)."""
        return self._image("starry_night.jpg", data.coffee)

    def float_images(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return content and style in [0, 1]."""
        return as_floats(self.content), as_floats(self.style)

    def engine_command(self, optimizer: str = "adam", path: str = "auto") -> tuple[str, ...]:
        """Return the command that starts the engine as a peer, with "adam" (as the tutorial) or "lbfgs"."""
        return module("benchmarks.engine.peers.engine_peer", str(self.width), optimizer, path)

    def tutorial_command(self) -> tuple[str, ...]:
        """Return the command that starts the tutorial's loop as a peer."""
        return module("benchmarks.engine.peers.tutorial_peer", str(self.width))

    def digest(self, *more: object) -> str:
        """Return a short digest of the images, the weights and `more`, for file names."""
        parts = [self.content.tobytes(), self.style.tobytes(), f"{self.width} {self.weights.sha256} {more}".encode()]
        return hashlib.sha256(b"".join(parts)).hexdigest()[:12]

    def _image(self, name: str, fallback: Callable[[], ImageArray]) -> ImageArray:
        path = SIBLING_FOLDER / "images" / name
        image = Image.open(path).convert("RGB") if path.exists() else Image.fromarray(fallback())
        return np.asarray(image.resize((self.width, self.height), Image.Resampling.BICUBIC))


def best_weights() -> Weights:
    """Return the weights of EASEL_WEIGHTS, by default ImageNet's or calibrated ones. The speed is the same."""
    return resolve_weights(Settings().weights, cache=Path("~/.cache/easel").expanduser())


def png(image: ImageArray) -> bytes:
    """Encode an image for upload."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def as_floats(image: ImageArray) -> NDArray[np.float32]:
    """Convert to [0, 1]."""
    return np.divide(image, 255, dtype=np.float32)
