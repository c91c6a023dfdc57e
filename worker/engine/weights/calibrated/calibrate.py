"""Calibrated weights: VGG19's filters learned from a few photos in seconds, for machines without a network.

There are no labels and no gradients. Layer by layer, each filter is a kind of patch that is frequent in the layer
below (see `filters.py`). The filters see lightness only: ImageNet's VGG19 hardly responds to color noise, whereas
filters that learn colors from a few photos do, and produce speckled images. The colors come from patch matching.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from shared.imaging.images import decode
from shared.recipe import VGG19_LAYERS
from shared.samples import sample_photos
from worker.engine.weights.calibrated.filters import Array, learn_filters, product
from worker.engine.weights.hdf5 import BGR_MEANS, KERNEL_SHAPES, Kernels, create_once, save_kernels

VERSION: Final = 4
"""Part of the cached file's name. Increase it with every change of the learned filters."""

LEARNING_SECONDS: Final = 15.0
"""What learning takes, for time estimates: 18 s of processor time on two cores of an AMD EPYC, which are not always
both busy. It happens once on a machine, so there is no history to take it from."""

SIDE: Final = 192
"""Pixels of the square training images; block 5 still sees 12 x 12 of them."""

STRENGTHS: Final = (48, 200, 230, 290, 310, 350, 600, 1100, 1100, 910, 570, 230, 170, 84, 36, 8)
"""Root mean square of the activations of each layer of ImageNet's VGG19 for photos. With the same values here, a recipe
whose terms are not normalized, such as `tutorial`, gives a similar balance of its terms."""

_LIGHTNESS: Final = np.array([[0.114], [0.587], [0.299]], np.float32)  # of B, G, R: ITU-R BT.601
_MAX_PIXELS: Final = 200_000_000  # the user's own files on their own machine


def calibrated_file(
    cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0, progress: Callable[[str, float], None]
) -> Path:
    """Return the `.h5` learned from `photos` (default: the sample photos); learn it unless `cache` has it.

    The same photos, seed and machine give the same bytes; another number of threads may not. Raises what `decode`
    raises for a file that is not an image, OSError for one that cannot be read, and WeightsUnavailable if the cache is
    not writable.
    """
    data = _read_photos(photos)

    def report(done: float) -> None:
        progress("learning filters", done)

    def learn(part: Path) -> None:
        with tf.device("CPU"):  # a GPU would round products to ten bits
            save_kernels(part, calibrate(data, seed=seed, progress=report))

    path = _path(cache, data, seed)
    if not path.is_file():
        report(0)  # here, because another process may be learning, and this one waits for it
    return create_once(path, learn)


def cached_calibrated_file(cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0) -> Path | None:
    """Return the file that `calibrated_file` would return, or None. Raises OSError for a photo that cannot be read."""
    path = _path(cache, _read_photos(photos), seed)
    return path if path.is_file() else None


def calibrate(
    photos: Sequence[bytes], *, seed: int, progress: Callable[[float], None]
) -> dict[str, tuple[Array, Array]]:
    """Return every layer's (kernel, bias), in the form of `load_kernels`, learned from these encoded photos."""
    rng = np.random.default_rng(seed)
    inputs = product(np.stack([_preprocess(_crop_square(data)) for data in photos]), _LIGHTNESS)
    learned = {}
    for index, layer in enumerate(VGG19_LAYERS, start=1):
        if layer.endswith("conv1") and index > 1:
            inputs = _max_pool(inputs)
        learned[layer] = learn_filters(inputs, KERNEL_SHAPES[layer][3], rng)
        inputs = _activations(inputs, *learned[layer])
        progress(index / len(VGG19_LAYERS))
    kernel, bias = learned["block1_conv1"]
    learned["block1_conv1"] = _LIGHTNESS * kernel, bias  # (3, 3, 1, 64) to (3, 3, 3, 64)
    return _scale_to_strengths(learned)


def _read_photos(photos: Sequence[Path] | None) -> list[bytes]:
    return [path.read_bytes() for path in photos or sample_photos()]


def _path(cache: Path, photos: Sequence[bytes], seed: int) -> Path:
    parts = [f"{VERSION} {seed}", *(hashlib.sha256(data).hexdigest() for data in photos)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache / f"vgg19_calibrated_{key}.h5"


def _crop_square(data: bytes) -> Image.Image:
    return ImageOps.fit(decode(data, max_pixels=_MAX_PIXELS), (SIDE, SIDE), Image.Resampling.LANCZOS)


def _preprocess(image: Image.Image) -> Array:
    """Return BGR in 0..255 less ImageNet's mean, as the inputs of Keras' VGG19."""
    pixels: Array = np.asarray(image, np.float32)[..., ::-1] - np.asarray(BGR_MEANS, np.float32)
    return pixels


def _scale_to_strengths(learned: Kernels) -> dict[str, tuple[Array, Array]]:
    """Scale each layer's output from variance 1 to STRENGTHS. Nothing else changes: ReLU is homogeneous."""
    scaled, previous = {}, 1.0
    for (layer, (kernel, bias)), strength in zip(learned.items(), STRENGTHS, strict=True):
        factor = strength * np.sqrt(2)  # after ReLU a centered signal of variance 1 has a mean square of 1/2
        scaled[layer] = (np.float32(factor / previous) * kernel, np.float32(factor) * bias)
        previous = factor
    return scaled


def _activations(images: Array, kernel: Array, bias: Array) -> Array:
    """Return the layer's activations (n, height, width, out): convolution with zero padding, bias, ReLU."""
    activations: Array = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME") + bias).numpy()
    return activations


def _max_pool(images: Array) -> Array:
    """Return the images after 2x2 max-pooling, without an odd last row or column, as in VGG19."""
    pooled: Array = tf.nn.max_pool2d(images, 2, 2, "VALID").numpy()
    return pooled
