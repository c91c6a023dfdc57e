"""What the crowd has painted, and how it must look.

`python -m chaos.pictures FOLDER` invents weights and paints the TensorFlow recipes with nobody disturbing it.
"""

import functools
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from shared.images import decode, encode_png
from shared.recipe import resolve
from shared.settings import Settings

WEIGHTS: Final = "weights.h5"
PAINTED: Final = "painted.json"
PAINTINGS: Final[dict[str, dict[str, Any]]] = {
    name: {"preset": "fast", "size": 64, "steps": 120, "optimizer": {"kind": name}} for name in ("adam", "lbfgs")
}
"""Recipes of the jobs that TensorFlow paints, of `photo(0)` in the manner of `photo(1)`."""
_MAX_PIXELS: Final = 10**6


@functools.cache
def photo(number: int) -> bytes:
    """A small PNG of smooth coloured blobs."""
    noise = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC).save(target, "PNG")
    return target.getvalue()


def pixels(png: bytes) -> np.ndarray:
    """As the worker hands them to its engine."""
    return np.asarray(decode(png, max_pixels=_MAX_PIXELS))


def main(folder: Path) -> None:
    """Write the weights, and sha256 of every step's picture by the recipe's name."""
    from worker.engine.weights.hdf5 import KERNEL_SHAPES, save_kernels  # noqa: PLC0415 - TensorFlow comes with it
    from worker.tensorflow_engine import Vgg19  # noqa: PLC0415 - the same

    random, kernels = np.random.default_rng(0), {}
    for layer, shape in KERNEL_SHAPES.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))  # He et al. 2015
        kernels[layer] = (random.standard_normal(shape, np.float32) * scale, np.zeros(shape[3], np.float32))
    save_kernels(folder / WEIGHTS, kernels)
    engine = Vgg19(Settings(weights=str(folder / WEIGHTS), threads=1))
    content, style = pixels(photo(0)), pixels(photo(1))
    painted = {}
    for name, fields in PAINTINGS.items():
        frames = engine.stylize(content, [style], resolve(fields), None)
        painted[name] = [hashlib.sha256(encode_png(frame.image)).hexdigest() for frame in frames]
    (folder / PAINTED).write_text(json.dumps(painted))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
