"""The recipe, all parameters of a stylization with bounds and units, and its presets `default`, `fast`, `tutorial`.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import InvalidRecipe
from shared.patch_iterations import PatchIteration, patch_iterations
from shared.validation_messages import message_for

_CONVOLUTIONS: Final = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
VGG19_LAYERS: Final = tuple(
    f"block{block}_conv{conv}" for block, count in _CONVOLUTIONS.items() for conv in range(1, count + 1)
)
"""Convolutions of VGG19 (Simonyan and Zisserman 2015) by their Keras names, from shallow to deep."""

_MAX_HISTORY_BYTES: Final = 512 * 2**20
_MIN_HISTORY: Final = 3
_DEFAULT_CONTENT_LAYERS: Final = {"block4_conv2": 1.0}

Weight = Annotated[float, Field(ge=0, le=1e9)]


class _Frozen(BaseModel):
    # `resolve` rejects unknown fields of a submitted recipe; a stored recipe may come from another version.
    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, json_schema_extra={"additionalProperties": False}
    )


class Adam(_Frozen):
    """Kingma and Ba 2015; after each step the image is clipped to [0, 1]."""

    kind: Literal["adam"] = Field("adam", description="Selects Adam.")
    learning_rate: float = Field(0.02, gt=0, le=1, description="Step size, in units of the image range [0, 1].")
    beta1: float = Field(0.99, ge=0, lt=1, description="Decay of the gradient's moving average, in [0, 1).")
    beta2: float = Field(0.999, ge=0, lt=1, description="Decay of the squared gradient's moving average, in [0, 1).")
    epsilon: float = Field(
        0.1, gt=0, le=10, description="Added to the root of the squared gradient's average, to avoid division by 0."
    )


class LBFGS(_Frozen):
    """Liu and Nocedal 1989."""

    kind: Literal["lbfgs"] = Field("lbfgs", description="Selects L-BFGS.")
    history: int = Field(20, ge=1, le=50, description="Correction pairs to keep; each takes the memory of two images.")


class Stage(_Frozen):
    """One size of a coarse-to-fine run."""

    scale: float = Field(gt=0, le=1, description="Longest side as a share of the recipe's `size`.")
    share: float = Field(gt=0, le=1, description="Share of the recipe's `steps`; shares are rescaled to sum to 1.")


class Recipe(_Frozen):
    """The objective, the optimizer, the image size and the number of steps of a run."""

    preset: str = Field("custom", max_length=40, description="Name of the preset that this recipe is based on.")
    size: int = Field(512, ge=64, le=4096, description="Longest side of the result, in pixels.")
    steps: int = Field(200, ge=1, le=20_000, description="Evaluations of loss and gradient over all stages.")
    stages: tuple[Stage, ...] = Field(
        (Stage(scale=1, share=1),),
        min_length=1,
        max_length=6,
        description="Sizes to render, in order and usually coarse to fine; each stage starts from the previous result.",
    )
    style_scale: float = Field(
        1.0, ge=0.25, le=4, description="Longest side of the style images relative to `size`: above 1, strokes grow."
    )
    init: Literal["content", "noise", "patches"] = Field(
        "content",
        description="Start image: the content image, random noise, or the content made of patches of the styles, which "
        "takes a few more steps before the first evaluation.",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of all random numbers: of the noise, or of patch matching.")

    content_layers: dict[str, Weight] = Field(
        _DEFAULT_CONTENT_LAYERS, description="VGG19 layers whose activations represent the content, with weights."
    )
    style_layers: dict[str, Weight] = Field(
        {f"block{block}_conv1": 0.2 for block in range(1, 6)},
        description="VGG19 layers whose Gram matrices represent the style, with weights.",
    )
    content_weight: Weight = Field(1.0, description="Weight of the content loss.")
    style_weight: Weight = Field(10.0, description="Weight of the style loss.")
    variation_weight: Weight = Field(2.0, description="Weight of the total variation loss: higher is smoother.")
    chroma_variation: float = Field(
        1.0,
        ge=0,
        le=100,
        description="Weight of color differences relative to brightness in the variation loss; needs `normalize`.",
    )
    style_mix: tuple[Weight, ...] = Field(
        (), max_length=8, description="Weight of each style image, in order; empty weighs all equally."
    )
    normalize: bool = Field(
        True,  # noqa: FBT003 - pydantic's own signature
        description="True divides each loss by the energy of its target and takes the mean square as variation loss, "
        "so that weights have the same effect at any size and with any network weights. "
        "False follows TensorFlow's tutorial: plain mean squared errors and the sum of absolute differences.",
    )
    pooling: Literal["max", "average"] = Field("max", description="Pooling of VGG19.")
    padding: int = Field(
        0,
        ge=0,
        le=31,
        description="Extra pixels rendered at each edge and cropped off: VGG19's zero padding distorts edges.",
    )
    optimizer: Adam | LBFGS = Field(
        LBFGS(), discriminator="kind", description="Optimization algorithm, with its options."
    )

    @field_validator("content_layers", "style_layers")
    @classmethod
    def _known_layers(cls, layers: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(layers) - set(VGG19_LAYERS))
        if unknown:
            msg = f"VGG19 has no layer {', '.join(unknown)}; choose from {', '.join(VGG19_LAYERS)}"
            raise ValueError(msg)
        return {layer: layers[layer] for layer in VGG19_LAYERS if layer in layers}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (any(self.content_layers.values()) or any(self.style_layers.values())):
            msg = "give at least one content or style layer a weight above 0"
            raise ValueError(msg)
        if self.style_mix and not sum(self.style_mix):
            msg = "give at least one style image a weight above 0 in style_mix"
            raise ValueError(msg)
        if len(self.stages) > self.steps:
            msg = f"{len(self.stages)} stages need at least {len(self.stages)} steps; raise steps"
            raise ValueError(msg)
        return self

    def patch_iterations(self) -> tuple[PatchIteration, ...]:
        """Return the iterations of patch matching before the first evaluation, coarse to fine; none by default."""
        return patch_iterations(self.schedule()[0][0]) if self.init == "patches" else ()

    @property
    def total_steps(self) -> int:
        """Steps of a run: iterations of patch matching, then evaluations."""
        return len(self.patch_iterations()) + self.steps

    def schedule(self) -> list[tuple[int, int]]:
        """Return (longest side in pixels, evaluations) of each stage: at least 1 each, `steps` in all."""
        total, spare = sum(stage.share for stage in self.stages), self.steps - len(self.stages)
        done, cumulative_share, schedule = 0, 0.0, []
        for stage in self.stages:
            cumulative_share += stage.share / total
            end = round(spare * cumulative_share)
            schedule.append((max(64, round(self.size * stage.scale)), 1 + end - done))
            done = end
        return schedule


_PRESET_FIELDS: Final[dict[str, Any]] = {
    "style_layers": {
        "block1_conv1": 0.15,
        "block2_conv1": 0.2,
        "block3_conv1": 0.25,
        "block4_conv1": 0.25,
        "block5_conv1": 0.15,
    },
    "style_weight": 20,
    "variation_weight": 3,
    "chroma_variation": 8,  # speckle is colorful, strokes are not
    "pooling": "max",  # `average` makes longer strokes, but a four-pixel grid in flat areas
    "padding": 8,
}
"""Common to `default` and `fast`. Chosen by eye from many results, mostly at 384 pixels."""

PRESETS: Final = {
    # TensorFlow's "Neural style transfer" tutorial, constant for constant.
    "tutorial": Recipe(
        preset="tutorial",
        size=512,
        steps=1000,
        content_layers={"block5_conv2": 1.0},
        style_layers={f"block{block}_conv1": 0.2 for block in range(1, 6)},
        content_weight=1e4,
        style_weight=1e-2,
        variation_weight=30,
        normalize=False,
        optimizer=Adam(),
    ),
    # Large strokes are rendered at a small size first, then finer ones over them in two more stages.
    "default": Recipe(
        preset="default",
        size=384,
        steps=170,
        stages=(Stage(scale=0.5, share=0.42), Stage(scale=0.7, share=0.18), Stage(scale=1, share=0.4)),
        **_PRESET_FIELDS,
    ),
    "fast": Recipe(
        preset="fast",
        size=256,
        steps=55,
        stages=(Stage(scale=0.625, share=0.55), Stage(scale=1, share=0.45)),
        **_PRESET_FIELDS,
    ),
}


def resolve(fields: dict[str, Any]) -> Recipe:
    """Return the preset named by `fields["preset"]`, or `default`, updated with the other fields.

    Raises InvalidRecipe, with `errors=[{"field", "message"}, ...]`.
    """
    name = fields.get("preset", "default")
    base = PRESETS.get(name) if isinstance(name, str) else None
    if base is None:
        raise InvalidRecipe(
            f"Unknown preset {name!r}; choose one of {', '.join(PRESETS)}.",
            errors=[{"field": "preset", "message": "unknown preset"}],
        )
    try:
        recipe = Recipe.model_validate({**base.model_dump(), **fields}, extra="forbid")
    except ValidationError as error:
        problems = [
            {"field": ".".join(map(str, e["loc"])) or "recipe", "message": message_for(e, kind="parameter")}
            for e in error.errors()
        ]
        summary = "; ".join(f"{e['field']}: {e['message']}" for e in problems)
        raise InvalidRecipe(f"Invalid recipe: {summary}.", errors=problems) from error
    return recipe if "optimizer" in fields else _with_limited_history(recipe)


def with_size(recipe: Recipe, size: int) -> Recipe:
    """Return what `resolve` would return for the same fields with another `size`."""
    scaled = recipe.model_copy(update={"size": size})
    default = {"optimizer": LBFGS()}
    if recipe != _with_limited_history(recipe.model_copy(update=default)):
        return scaled  # the optimizer was chosen explicitly
    return _with_limited_history(scaled.model_copy(update=default))


def adapted_to_weights(recipe: Recipe, weights_source: str) -> Recipe:
    """Return the recipe to render with these weights.

    Calibrated filters represent objects less well than ImageNet's, so unless the client chose content
    layers, the content is taken from a shallower layer, with three times the weight.
    """
    if weights_source != "calibrated" or not recipe.normalize or recipe.content_layers != _DEFAULT_CONTENT_LAYERS:
        return recipe
    return recipe.model_copy(
        update={"content_layers": {"block3_conv2": 1.0}, "content_weight": 3 * recipe.content_weight}
    )


def _with_limited_history(recipe: Recipe) -> Recipe:
    """Limit the history of large images: each pair is two images, in memory and in every checkpoint."""
    if not isinstance(recipe.optimizer, LBFGS):
        return recipe
    pairs = _MAX_HISTORY_BYTES // (2 * 3 * 4 * recipe.size**2)
    history = max(_MIN_HISTORY, min(recipe.optimizer.history, pairs))
    return recipe.model_copy(update={"optimizer": LBFGS(history=history)})
