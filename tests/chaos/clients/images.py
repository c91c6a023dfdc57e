"""The clients' input images, and reference results of the jobs for TensorFlow.

`python -m chaos.clients.images FOLDER` writes random weights and the digests of TensorFlow's images without faults.
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

from shared.imaging.encoding import encode_png
from shared.imaging.images import decode
from shared.presets import resolve
from shared.settings import Settings

WEIGHTS: Final = "weights.h5"
REFERENCE_DIGESTS: Final = "reference-digests.json"
SHALLOW: Final = {
    "style_layers": {"block1_conv1": 1.0, "block2_conv1": 1.0},
    "content_layers": {"block2_conv2": 1.0},
}
"""Fields of a recipe whose start and steps take a quarter of the time of all blocks at small sizes."""
TENSORFLOW_RECIPES: Final[dict[str, dict[str, Any]]] = {
    name: {"preset": "fast", "size": 64, "steps": 200, "save_every": 40, **SHALLOW, "optimizer": {"kind": name}}
    for name in ("adam", "lbfgs")
}
"""Recipes of the jobs for TensorFlow; their content is `photo(0)`, their style `photo(1)`."""
_MAX_PIXELS: Final = 10**6


@functools.cache
def photo(number: int) -> bytes:
    """Return a small PNG of smooth colored blobs."""
    noise = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)
    target = io.BytesIO()
    Image.fromarray(noise).resize((64, 48), Image.Resampling.BICUBIC).save(target, "PNG")
    return target.getvalue()


def pixels(png: bytes) -> np.ndarray:
    """Return the pixels as the worker passes them to its engine: (H, W, 3) uint8."""
    return np.asarray(decode(png, max_pixels=_MAX_PIXELS))


def main(folder: Path) -> None:
    """Write the weights, and the sha256 of every step's image by the recipe's name."""
    from worker.engine.weights.hdf5 import KERNEL_SHAPES, save_kernels  # noqa: PLC0415 - TensorFlow comes with it
    from worker.tensorflow_engine import TensorFlowEngine  # noqa: PLC0415 - the same

    random, kernels = np.random.default_rng(0), {}
    for layer, shape in KERNEL_SHAPES.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:3])))  # He et al. 2015
        kernels[layer] = (random.standard_normal(shape, np.float32) * scale, np.zeros(shape[3], np.float32))
    save_kernels(folder / WEIGHTS, kernels)
    engine = TensorFlowEngine(Settings(weights=str(folder / WEIGHTS), threads=1))
    content, style = pixels(photo(0)), pixels(photo(1))
    reference_digests = {}
    for name, fields in TENSORFLOW_RECIPES.items():
        frames = engine.stylize(content, [style], resolve(fields), None)
        reference_digests[name] = [hashlib.sha256(encode_png(frame.image)).hexdigest() for frame in frames]
    (folder / REFERENCE_DIGESTS).write_text(json.dumps(reference_digests))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
