"""Calibrated weights: VGG19's filters learned from a few photos in about a minute, for machines without a network.

There are no labels and no gradients. Layer by layer, each filter is a kind of patch that is frequent in the layer
below (see `filters.py`).
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from shared.images import decode
from shared.recipe import VGG19_LAYERS
from shared.samples import sample_photos
from worker.engine.weights.calibrated.filters import Array, learn_filters
from worker.engine.weights.calibrated.synthetic_images import brush_strokes, dead_leaves
from worker.engine.weights.hdf5 import BGR_MEANS, KERNEL_SHAPES, Kernels, create_once, save_kernels

VERSION: Final = 3
"""Part of the cached file's name. Increase it with every change of the learned filters."""

SIDE: Final = 192
"""Pixels of the square training images; block 5 still sees 12 x 12 of them."""

SYNTHETIC_IMAGES: Final = 3
"""Number of each kind in `synthetic_images.py` that are added to the photos."""

LUMINANCE_NOISE, CHROMA_NOISE = 3.0, 30.0
"""Of 0..255, the noise that the filters must not respond to: a little white noise in brightness, and strong noise of
high frequency in color. ImageNet's VGG19 hardly responds to the latter; filters that do produce speckled images."""

STRENGTHS: Final = (48, 200, 230, 290, 310, 350, 600, 1100, 1100, 910, 570, 230, 170, 84, 36, 8)
"""Root mean square of the activations of each layer of ImageNet's VGG19 for photos. With the same values here, a recipe
whose terms are not normalized, such as `tutorial`, gives a similar balance of its terms."""

_MAX_PIXELS: Final = 200_000_000  # the user's own files on their own machine


def calibrated_file(
    cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0, progress: Callable[[str, float], None]
) -> Path:
    """Return the `.h5` learned from `photos` (default: the sample photos); learn it unless `cache` has it.

    The same photos, seed and machine give the same bytes; another number of threads may not. Takes about half a
    minute on two cores. Raises what `decode` raises for a file that is not an image, OSError for one that cannot be
    read, and WeightsUnavailable if the cache is not writable.
    """
    data = _read_photos(photos)

    def learn(part: Path) -> None:
        with tf.device("CPU"):  # a GPU would round products to ten bits
            kernels = calibrate(data, seed=seed, progress=lambda done: progress("learning filters", done))
        save_kernels(part, kernels)

    return create_once(_path(cache, data, seed), learn)


def cached_calibrated_file(cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0) -> Path | None:
    """Return the file that `calibrated_file` would return, or None. Raises OSError for a photo that cannot be read."""
    path = _path(cache, _read_photos(photos), seed)
    return path if path.is_file() else None


def calibrate(
    photos: Sequence[bytes], *, seed: int, progress: Callable[[float], None]
) -> dict[str, tuple[Array, Array]]:
    """Return every layer's (kernel, bias), in the form of `load_kernels`, learned from these encoded photos."""
    rng = np.random.default_rng(seed)
    synthetic = [draw(SIDE, rng) for draw in (dead_leaves, brush_strokes) * SYNTHETIC_IMAGES]
    inputs = np.stack([_preprocess(image) for image in [*map(_crop_square, photos), *synthetic]])
    noisy_inputs = inputs + _noise(inputs.shape, rng)
    learned = {}
    for index, layer in enumerate(VGG19_LAYERS):
        progress(index / len(VGG19_LAYERS))
        if layer.endswith("conv1") and index:
            inputs, noisy_inputs = _max_pool(inputs), _max_pool(noisy_inputs)
        learned[layer] = learn_filters(inputs, noisy_inputs, KERNEL_SHAPES[layer][3], rng)
        inputs, noisy_inputs = (_activations(images, *learned[layer]) for images in (inputs, noisy_inputs))
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


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    luminance = rng.standard_normal((*shape[:3], 1), np.float32)
    chroma = rng.standard_normal(shape, np.float32)
    chroma -= chroma.mean(-1, keepdims=True)
    noise: Array = LUMINANCE_NOISE * luminance + CHROMA_NOISE * (chroma - _blur(chroma))
    return noise


def _blur(images: Array) -> Array:
    """Return means over 3x3 pixels, wrapped around at the border."""
    for axis in (1, 2):
        images = (np.roll(images, 1, axis) + images + np.roll(images, -1, axis)) / np.float32(3)
    return images


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
