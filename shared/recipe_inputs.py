"""Whether a recipe can be used with the images of a request."""

from collections.abc import Sequence

from shared.errors import InvalidRecipe
from shared.imaging.images import MAX_SIDE, fit_size
from shared.recipe import Recipe


def check_inputs(recipe: Recipe, *, styles: int, masks: int, init_image: bool) -> None:
    """Raise InvalidRecipe, naming the field, unless a recipe can be used with so many style images and masks."""
    lists: dict[str, Sequence[float]] = {"style_mix": recipe.style_mix, "style_scales": recipe.style_scales}
    for field, values in lists.items():
        if values and len(values) != styles:
            raise _invalid_field(field, f"has {len(values)} entries for {styles} style images; give one for each")
    if masks and masks != styles:
        raise InvalidRecipe(f"There are {masks} masks for {styles} style images; give one for each.")
    if masks and recipe.style_mix:
        raise _invalid_field("style_mix", "has no effect with masks, which give each style a region; leave one out")
    if init_image and recipe.init != "image":
        raise _invalid_field("init", f"is `{recipe.init}`, which does not use the init_image; leave one of them out")
    if recipe.init == "image" and not init_image:
        raise _invalid_field("init", "is `image`, which needs an init_image; send one, or choose another init")


def check_photo_shape(size: tuple[int, int], recipe: Recipe) -> None:
    """Raise ImageTooSmall if a side of the result would be too short for a photo of this (width, height).

    Earlier stages of a thin photo are enlarged.
    """
    check_shape(size)
    fit_size(size, recipe.schedule()[-1][0])


def check_shape(size: tuple[int, int]) -> None:
    """Raise ImageTooSmall if an image of this (width, height) is too thin to be stored with at most MAX_SIDE.

    A thin style is used so large that its shorter side has MIN_SIDE.
    """
    fit_size(size, min(max(size), MAX_SIDE))


def _invalid_field(field: str, message: str) -> InvalidRecipe:
    return InvalidRecipe(f"{field} {message}.", errors=[{"field": field, "message": message}])
