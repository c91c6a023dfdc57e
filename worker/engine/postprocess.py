"""What is done to an image of a run before people see it: its colors, and the photo where no style applies."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.recipe import Recipe
from worker.engine.color import with_chroma
from worker.engine.image_ops import as_tensor, resize
from worker.engine.patches.colors import Pixels
from worker.engine.regions import Regions


class Postprocess:
    """The postprocessing of one run. It changes nothing by default."""

    def __init__(self, content: NDArray[Any], recipe: Recipe, masks: Sequence[NDArray[np.uint8]] = ()) -> None:
        """`content` is (height, width, 3), uint8, uint16 or float32 in [0, 1]; `masks` as in Regions."""
        self._content, self._recipe = content, recipe
        self._regions = Regions(masks) if masks else None
        self._scaled: tuple[Pixels, Pixels | None] | None = None

    def __call__(self, image: Pixels) -> Pixels:
        """Return the image as people see it, (height, width, 3) in [0, 1], of the same size."""
        keeps_color = self._recipe.color == "content"
        if not keeps_color and self._regions is None:
            return image
        content, coverage = self._at((image.shape[0], image.shape[1]))
        if keeps_color:
            image = with_chroma(image, content, self._recipe.color_strength, self._recipe.rendered_space)
        return image if coverage is None else coverage * image + (1 - coverage) * content

    def _at(self, size: tuple[int, int]) -> tuple[Pixels, Pixels | None]:
        """Return the content and where styles apply, (height, width, 1), at a size; kept until the size changes."""
        if self._scaled is None or self._scaled[0].shape[:2] != size:
            content: Pixels = resize(as_tensor(self._content), size).numpy()
            self._scaled = content, self._regions.coverage(size) if self._regions else None
        return self._scaled
