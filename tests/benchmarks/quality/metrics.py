"""What can be measured of a result: how near it is to the painting and to the photo, and how clean it is."""

from collections.abc import Mapping
from typing import Any, Final

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from worker.engine.color import to_oklab
from worker.engine.model import GramMatrix, feature_extractor, preprocess

Image = NDArray[np.float32]
"""(height, width, 3) RGB in [0, 1]."""

STYLE_LAYERS: Final = ("block1_conv2", "block2_conv2", "block3_conv2", "block4_conv2")
"""No preset optimizes these."""
_QUANTILES: Final = (np.arange(500) + 0.5) / 500
_HIGH: Final = (0.4, 0.5)  # cycles per pixel
_OFF_AXIS: Final = 0.05  # cycles per pixel


class Metrics:
    """The metrics of results for one photo and one painting of the result's size."""

    def __init__(self, vgg19: keras.Model, content: Image, style: Image) -> None:
        self._content, self._style = content, style
        self._extractor, self._gram_matrix = feature_extractor(vgg19, STYLE_LAYERS), GramMatrix()

    def of(self, result: Image) -> Mapping[str, float]:
        """Return the metrics by name."""
        return {
            "style_distance": self._style_distance(result),
            "content_ssim": float(
                structural_similarity(
                    to_oklab(result)[..., 0].astype(np.float32),
                    to_oklab(self._content)[..., 0].astype(np.float32),
                    data_range=1,
                )
            ),
            "color_distance": color_distance(result, self._style),
            "weave": weave(result) / weave(self._style),
        }

    def _style_distance(self, result: Image) -> float:
        """Return the mean of |G - A|^2 / |A|^2 over STYLE_LAYERS, for Gram matrices G of the result, A of the style."""
        pairs = zip(self._gram_matrices(result), self._gram_matrices(self._style), strict=True)
        return float(np.mean([((g - a) ** 2).sum() / (a**2).sum() for g, a in pairs]))

    def _gram_matrices(self, image: Image) -> list[NDArray[Any]]:
        features = self._extractor(preprocess(tf.constant(image)[tf.newaxis]))
        return [self._gram_matrix(features[layer]).numpy() for layer in STYLE_LAYERS]


def color_distance(one: Image, other: Image) -> float:
    """Return the earth mover's distance of each OkLab channel's values, averaged over the three channels."""
    quantiles = [np.quantile(to_oklab(image).reshape(-1, 3), _QUANTILES, axis=0) for image in (one, other)]
    return float(np.abs(quantiles[0] - quantiles[1]).mean())


def weave(image: Image) -> float:
    """Return the power of fine lines along the axes relative to all fine structure.

    The mean power of the lightness at 0.4 to 0.5 cycles per pixel along one axis and at most 0.05 along the other,
    divided by the mean power at frequencies of that magnitude in any direction. 1 is no preference for the axes.
    """
    lightness = to_oklab(image)[..., 0]
    window = np.outer(np.hanning(lightness.shape[0]), np.hanning(lightness.shape[1]))
    power = np.abs(np.fft.fft2((lightness - lightness.mean()) * window)) ** 2
    rows, columns = np.abs(np.fft.fftfreq(lightness.shape[0]))[:, None], np.abs(np.fft.fftfreq(lightness.shape[1]))
    along_columns = (columns >= _HIGH[0]) & (rows <= _OFF_AXIS)
    along_rows = (rows >= _HIGH[0]) & (columns <= _OFF_AXIS)
    radius = np.hypot(rows, columns)
    ring = (radius >= _HIGH[0]) & (radius <= _HIGH[1])
    return float(power[along_columns | along_rows].mean() / power[ring].mean())
