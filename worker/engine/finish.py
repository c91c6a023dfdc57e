"""What an image of a run goes through before people see it: its colors, and the photo where no style applies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.recipe import Recipe
from worker.engine.color import with_chroma
from worker.engine.image_ops import as_tensor, resize
from worker.engine.patches.colors import Pixels
from worker.engine.regions import Regions


class Finish:
    """Finishes images of one run. It changes nothing by default."""

    def __init__(self, content: NDArray[Any], recipe: Recipe, masks: Sequence[NDArray[np.uint8]] = ()) -> None:
        """`content` is (height, width, 3), uint8 or float32 in [0, 1]; `masks` as in Regions."""
        self._content, self._recipe = content, recipe
        self._regions = Regions(masks) if masks else None

    def __call__(self, image: Pixels) -> Pixels:
        """Return the finished image, (height, width, 3) in [0, 1], of the same size."""
        keeps_color = self._recipe.color == "content"
        if not keeps_color and self._regions is None:
            return image
        size = image.shape[0], image.shape[1]
        content: Pixels = resize(as_tensor(self._content), size).numpy()
        if keeps_color:
            image = with_chroma(image, content, self._recipe.color_strength)
        if self._regions is None:
            return image
        coverage = self._regions.coverage(size)
        return coverage * image + (1 - coverage) * content
