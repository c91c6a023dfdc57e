"""Calibrated weights: VGG19's filters learned from a few photos in under a minute, for machines with no network.

No labels and no gradients: layer by layer, each filter is a kind of patch that the layer below often sees
(`filters.py` says how).
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
from worker.engine.weights.hdf5 import BGR_MEANS, KERNEL_SHAPES, Kernels, made_once, save_kernels
from worker.engine.weights.learned.filters import Array, learn_filters
from worker.engine.weights.learned.synthetic_images import leaves, strokes

VERSION: Final = 3
"""Of the procedure; part of the cached file's name, so raise it with every change of what is learned."""

SIDE: Final = 192
"""Pixels of the square training images; block 5 still sees 12 x 12 of them."""

INVENTED: Final = 3
"""Pictures of each kind in `invented.py` beside the photos."""

LUMINANCE_NOISE, CHROMA_NOISE = 3.0, 30.0
"""Of 0..255, the disturbance that the filters are to be blind to: in brightness a little white noise, in colour a lot
that changes from pixel to pixel. ImageNet's VGG19 hardly sees the latter; filters that see it paint speckle."""

STRENGTHS: Final = (48, 200, 230, 290, 310, 350, 600, 1100, 1100, 910, 570, 230, 170, 84, 36, 8)
"""Root mean square of what each layer of ImageNet's VGG19 gives for photos. Taking these over lets a recipe whose
terms are not normalised, such as `tutorial`, mean about the same here."""

_MAX_PIXELS: Final = 200_000_000  # a person's own files on their own machine


def calibrated_file(
    cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0, progress: Callable[[str, float], None]
) -> Path:
    """The `.h5` learned from `photos` (default: the sample photos), from `cache` or made now, once.

    The same photos, seed and machine give the same bytes; another number of threads may not. Takes about half a
    minute on two cores. Raises what `decode` raises for a photo that is none, OSError for one that cannot be
    read, and WeightsUnavailable for a cache that cannot be written.
    """
    data = _read(photos)

    def learn(part: Path) -> None:
        with tf.device("CPU"):  # exact products: a GPU's would be rounded to ten bits
            kernels = calibrate(data, seed=seed, progress=lambda share: progress("learning filters", share))
        save_kernels(part, kernels)

    return made_once(_path(cache, data, seed), learn)


def learned_before(cache: Path, *, photos: Sequence[Path] | None = None, seed: int = 0) -> Path | None:
    """What `calibrated_file` would give, if it is there. Raises OSError for a photo that cannot be read."""
    path = _path(cache, _read(photos), seed)
    return path if path.is_file() else None


def calibrate(
    photos: Sequence[bytes], *, seed: int, progress: Callable[[float], None]
) -> dict[str, tuple[Array, Array]]:
    """Every layer's (kernel, bias) in `load_kernels`' form, learned from these encoded photos."""
    rng = np.random.default_rng(seed)
    pictures = [_square(data) for data in photos] + [draw(SIDE, rng) for draw in (leaves, strokes) * INVENTED]
    seen = np.stack([_preprocessed(picture) for picture in pictures])
    disturbed = seen + _noise(seen.shape, rng)
    learned = {}
    for done, layer in enumerate(VGG19_LAYERS):
        progress(done / len(VGG19_LAYERS))
        if layer.endswith("conv1") and done:
            seen, disturbed = _halve(seen), _halve(disturbed)
        learned[layer] = learn_filters(seen, disturbed, KERNEL_SHAPES[layer][3], rng)
        seen, disturbed = _respond(seen, *learned[layer]), _respond(disturbed, *learned[layer])
    return _strengthened(learned)


def _read(photos: Sequence[Path] | None) -> list[bytes]:
    return [path.read_bytes() for path in photos or sample_photos()]


def _path(cache: Path, photos: Sequence[bytes], seed: int) -> Path:
    parts = [f"{VERSION} {seed}", *(hashlib.sha256(data).hexdigest() for data in photos)]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return cache / f"vgg19_calibrated_{key}.h5"


def _square(data: bytes) -> Image.Image:
    return ImageOps.fit(decode(data, max_pixels=_MAX_PIXELS), (SIDE, SIDE), Image.Resampling.LANCZOS)


def _preprocessed(image: Image.Image) -> Array:
    """BGR less ImageNet's mean, 0..255: what Keras' VGG19 is fed, so that the file is a drop-in."""
    pixels: Array = np.asarray(image, np.float32)[..., ::-1] - np.asarray(BGR_MEANS, np.float32)
    return pixels


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    luminance = rng.standard_normal((*shape[:3], 1), np.float32)
    chroma = rng.standard_normal(shape, np.float32)
    chroma -= chroma.mean(-1, keepdims=True)
    noise: Array = LUMINANCE_NOISE * luminance + CHROMA_NOISE * (chroma - _blurred(chroma))
    return noise


def _blurred(images: Array) -> Array:
    """The mean over 3x3 pixels, wrapped around at the border."""
    for axis in (1, 2):
        images = (np.roll(images, 1, axis) + images + np.roll(images, -1, axis)) / np.float32(3)
    return images


def _strengthened(learned: Kernels) -> dict[str, tuple[Array, Array]]:
    """Each layer's output scaled from variance 1 to STRENGTHS, which changes nothing else: ReLU keeps proportions."""
    found, before = {}, 1.0
    for (layer, (kernel, bias)), strength in zip(learned.items(), STRENGTHS, strict=True):
        after = strength * np.sqrt(2)  # of a centred signal of variance 1, ReLU leaves a mean square of 1/2
        found[layer] = (np.float32(after / before) * kernel, np.float32(after) * bias)
        before = after
    return found


def _respond(images: Array, kernel: Array, bias: Array) -> Array:
    """Convolution with zero padding, bias, ReLU: (n, height, width, in) to (n, height, width, out)."""
    responses: Array = tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME") + bias).numpy()
    return responses


def _halve(images: Array) -> Array:
    """2x2 max-pooling; an odd last row or column is dropped, as in VGG19."""
    halves: Array = tf.nn.max_pool2d(images, 2, 2, "VALID").numpy()
    return halves
