"""The iterations of patch matching, and their cost: see docs/explanation/patch-matching.md."""

import math
from typing import Final, NamedTuple

_COST_OF_PLACE: Final = 30
_COST_OF_PATCH_PIXEL: Final = 760  # all patches of the styles are cut out and projected
_COARSEST_SIDE: Final = 96
"""Longest side of the coarsest scale in pixels, about: there the size of strokes relative to the image is decided."""

# Side of a patch, stride, content weight.
_COARSEST: Final = ((11, 3, 0.6), (11, 3, 0.6), (7, 2, 0.6), (7, 2, 0.6))
_MIDDLE: Final = ((17, 5, 0.5), (17, 5, 0.5), (11, 3, 0.5), (7, 2, 0.5))
_FINEST: Final = ((17, 6, 0.25), (11, 4, 0.25), (7, 2, 0.075))


class PatchIteration(NamedTuple):
    """One iteration of patch matching."""

    longest_side: int  # of the image, in pixels
    patch: int  # side of a patch, in pixels
    stride: int  # between patches, in pixels
    content_weight: float  # of the content relative to the patches

    def pixel_evaluations(self, pixels: float) -> float:
        """Return the cost for an image of this size, in evaluations of one pixel by VGG19; measured on two cores."""
        return _COST_OF_PLACE * pixels / self.stride**2 + _COST_OF_PATCH_PIXEL * self.patch**2


def patch_iterations(longest_side: int) -> tuple[PatchIteration, ...]:
    """Return the iterations for an image of this size, coarse to fine; each scale is twice as large as the last."""
    halvings = max(0, round(math.log2(longest_side / _COARSEST_SIDE)))
    plans = [_COARSEST, *[_MIDDLE] * (halvings - 1), _FINEST] if halvings else [_FINEST]
    return tuple(
        PatchIteration(round(longest_side / 2 ** (halvings - level)), *iteration)
        for level, plan in enumerate(plans)
        for iteration in plan
    )
