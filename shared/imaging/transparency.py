"""The transparency of a photo: kept apart while its colors are rendered, and attached to the result again."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.imaging.deep_color import encode_png
from shared.recipe import Recipe

Alpha = NDArray[np.float32]
"""(height, width) in [0, 1]: 0 is transparent."""


def separate_alpha(pixels: NDArray[Any]) -> tuple[NDArray[Any], Alpha | None]:
    """Return the colors (height, width, 3) of an RGB or RGBA image and its alpha; None if it is RGB.

    `pixels` are unsigned integers. Transparent pixels get the colors around them: any other color would show as a
    fringe in the result, because strokes and scaling mix neighbors.
    """
    if pixels.shape[2] == 3:  # noqa: PLR2004 - RGB
        return pixels, None
    colors, alpha = pixels[..., :3], pixels[..., 3]
    hidden = alpha == 0
    if hidden.any():
        depth = np.iinfo(pixels.dtype).max // 255
        visible = Image.fromarray((pixels // depth).astype(np.uint8))
        visible.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
        surroundings = np.asarray(_fill(visible)).astype(pixels.dtype) * pixels.dtype.type(depth)
        colors = np.where(hidden[..., np.newaxis], surroundings, colors)
    return np.ascontiguousarray(colors), np.divide(alpha, np.iinfo(pixels.dtype).max, dtype=np.float32)


def fill_transparent(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return an RGB image, or an RGBA image whose transparent pixels got the colors around them. See separate_alpha."""
    return np.dstack([separate_alpha(pixels)[0], pixels[..., 3:]])


def used_share(pixels: NDArray[Any]) -> float:
    """Return how much of an RGB or RGBA style image is used, in [0, 1]: its mean alpha."""
    return float(pixels[..., 3].mean() / np.iinfo(pixels.dtype).max) if pixels.shape[2] > 3 else 1  # noqa: PLR2004 - RGB


def attach_alpha(image: NDArray[np.float32], alpha: Alpha | None) -> NDArray[np.float32]:
    """Return the image (height, width, 3) in [0, 1] with `alpha` as a fourth channel, scaled to its size."""
    if alpha is None:
        return image
    height, width = image.shape[:2]
    if alpha.shape != (height, width):  # bilinear, because it does not overshoot: what is opaque stays so
        alpha = np.asarray(Image.fromarray(alpha).resize((width, height), Image.Resampling.BILINEAR))
    return np.dstack([image, alpha])


def encode_rendered_png(image: NDArray[np.float32], alpha: Alpha | None, recipe: Recipe) -> bytes:
    """Encode a rendered image (height, width, 3) in [0, 1], a result or a saved iteration, with its photo's alpha.

    `recipe` says its depth and its color space.
    """
    return encode_png(attach_alpha(image, alpha), recipe.bit_depth, recipe.rendered_space)


def _fill(image: Image.Image) -> Image.Image:
    """Return the RGB image in which the transparent pixels of an RGBA image have colors around them.

    Each level is half as large and mixes visible pixels only (Gortler et al. 1996, "The Lumigraph", 3.4: pull-push).
    """
    colors, visible = image.convert("RGB"), image.getchannel("A")
    if max(image.size) == 1 or visible.getextrema()[0] == 255:  # noqa: PLR2004 - opaque
        return colors
    half = image.resize(((image.width + 1) // 2, (image.height + 1) // 2), Image.Resampling.BOX)
    half.putalpha(half.getchannel("A").point(lambda level: 255 if level else 0))
    return Image.composite(colors, _fill(half).resize(image.size, Image.Resampling.BILINEAR), visible)
