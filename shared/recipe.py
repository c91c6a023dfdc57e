"""Every knob of a stylisation, with bounds and units, and the presets `default`, `fast` and `tutorial`.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.errors import InvalidRecipe
from shared.validation_messages import in_words

_CONVOLUTIONS: Final = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
VGG19_LAYERS: Final = tuple(
    f"block{block}_conv{conv}" for block, count in _CONVOLUTIONS.items() for conv in range(1, count + 1)
)
"""The convolutions of VGG19 (Simonyan and Zisserman 2015), by Keras' names, from shallow to deep."""

_HISTORY_BYTES: Final = 512 * 2**20
_FEWEST_PAIRS: Final = 3

DEEP_CONTENT: Final = {"block4_conv2": 1.0}

Weight = Annotated[float, Field(ge=0, le=1e9)]


class _Frozen(BaseModel):
    # Unknown fields are refused where a recipe comes in (`resolve`); a stored one may be older than this code.
    model_config = ConfigDict(
        frozen=True, extra="ignore", allow_inf_nan=False, json_schema_extra={"additionalProperties": False}
    )


class Adam(_Frozen):
    """Kingma and Ba 2015; after each step the image is clipped to [0, 1]."""

    kind: Literal["adam"] = "adam"
    learning_rate: float = Field(0.02, gt=0, le=1, description="In units of the image's range, [0, 1].")
    beta1: float = Field(0.99, ge=0, lt=1)
    beta2: float = Field(0.999, ge=0, lt=1)
    epsilon: float = Field(0.1, gt=0, le=10)


class LBFGS(_Frozen):
    """Liu and Nocedal 1989."""

    kind: Literal["lbfgs"] = "lbfgs"
    history: int = Field(20, ge=1, le=50, description="Pairs kept; each is two images of memory.")


class Stage(_Frozen):
    """One size of a coarse-to-fine run."""

    scale: float = Field(gt=0, le=1, description="Of the recipe's size.")
    share: float = Field(gt=0, le=1, description="Of the recipe's steps; all shares are rescaled to sum to 1.")


class Recipe(_Frozen):
    """What to optimise, how, at which size and for how long."""

    preset: str = Field("custom", max_length=40, description="The preset that this recipe started from.")
    size: int = Field(512, ge=64, le=4096, description="Longest side of the picture, in pixels.")
    steps: int = Field(200, ge=1, le=20_000, description="Evaluations of loss and gradient, all stages together.")
    stages: tuple[Stage, ...] = Field((Stage(scale=1, share=1),), min_length=1, max_length=6)
    style_scale: float = Field(
        1.0, ge=0.25, le=4, description="Longest side of the styles against the picture's: above 1 strokes grow."
    )
    init: Literal["content", "noise"] = Field("content", description="What the first image is.")
    seed: int = Field(0, ge=0, lt=2**31, description="Of the noise; the rest is deterministic.")

    content_layers: dict[str, Weight] = Field(DEEP_CONTENT, description="Layer to weight.")
    style_layers: dict[str, Weight] = Field(
        {f"block{block}_conv1": 0.2 for block in range(1, 6)}, description="Layer to weight."
    )
    content_weight: Weight = 1.0
    style_weight: Weight = 10.0
    variation_weight: Weight = 2.0
    chroma_variation: float = Field(
        1.0, ge=0, le=100, description="What a difference in colour counts against one in brightness, with normalize."
    )
    style_mix: tuple[Weight, ...] = Field((), max_length=8, description="Share of each style image; empty means equal.")
    normalize: bool = Field(
        True,  # noqa: FBT003 - pydantic's own signature
        description="Divide every term by its target's energy and take the variation as a mean of squares, "
        "so that one set of weights means the same at any size and with any network weights. "
        "False is TensorFlow's tutorial: plain mean squared errors and the sum of absolute differences.",
    )
    pooling: Literal["max", "average"] = "max"
    bleed: int = Field(
        0,
        ge=0,
        le=31,
        description="Pixels painted beyond each edge and cut off: convolutions see a frame of black there.",
    )
    optimizer: Annotated[Adam | LBFGS, Field(discriminator="kind")] = LBFGS()

    @field_validator("content_layers", "style_layers")
    @classmethod
    def _known_layers(cls, layers: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(layers) - set(VGG19_LAYERS))
        if unknown:
            msg = f"VGG19 has no layer {', '.join(unknown)}; it has {', '.join(VGG19_LAYERS)}"
            raise ValueError(msg)
        return {layer: layers[layer] for layer in VGG19_LAYERS if layer in layers}

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if not (any(self.content_layers.values()) or any(self.style_layers.values())):
            msg = "give at least one content or style layer a weight above 0"
            raise ValueError(msg)
        if self.style_mix and not sum(self.style_mix):
            msg = "style_mix must have at least one share above 0"
            raise ValueError(msg)
        if len(self.stages) > self.steps:
            msg = f"{self.steps} steps cannot be shared by {len(self.stages)} stages; raise steps"
            raise ValueError(msg)
        return self

    def schedule(self) -> list[tuple[int, int]]:
        """(longest side in pixels, evaluations) of each stage; the evaluations sum to `steps`, each at least 1."""
        total, spare = sum(stage.share for stage in self.stages), self.steps - len(self.stages)
        done, reached, plan = 0, 0.0, []
        for stage in self.stages:
            reached += stage.share / total
            upto = round(spare * reached)
            plan.append((max(64, round(self.size * stage.scale)), 1 + upto - done))
            done = upto
        return plan


_PAINTERLY: Final[dict[str, Any]] = {
    "style_layers": {
        "block1_conv1": 0.15,
        "block2_conv1": 0.2,
        "block3_conv1": 0.25,
        "block4_conv1": 0.25,
        "block5_conv1": 0.15,
    },
    "style_weight": 20,
    "variation_weight": 3,
    "chroma_variation": 8,  # speckle is coloured, strokes are not
    "pooling": "max",  # `average` makes longer strokes, but weaves a grid of four pixels into flat parts
    "bleed": 8,
}
"""Found by looking at many pictures, mostly at 384 pixels."""

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
    # The large strokes are laid at a small size first, as a painter would; then twice finer ones over them.
    "default": Recipe(
        preset="default",
        size=384,
        steps=170,
        stages=(Stage(scale=0.5, share=0.42), Stage(scale=0.7, share=0.18), Stage(scale=1, share=0.4)),
        **_PAINTERLY,
    ),
    "fast": Recipe(
        preset="fast",
        size=256,
        steps=55,
        stages=(Stage(scale=0.625, share=0.55), Stage(scale=1, share=0.45)),
        **_PAINTERLY,
    ),
}


def resolve(fields: dict[str, Any]) -> Recipe:
    """The preset named by `fields["preset"]` (else `default`) with the other fields laid over it.

    Raises InvalidRecipe, with `errors=[{"field", "message"}, ...]`.
    """
    name = fields.get("preset", "default")
    base = PRESETS.get(name) if isinstance(name, str) else None
    if base is None:
        raise InvalidRecipe(
            f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.",
            errors=[{"field": "preset", "message": "unknown preset"}],
        )
    try:
        recipe = Recipe.model_validate({**base.model_dump(), **fields}, extra="forbid")
    except ValidationError as error:
        found = [
            {"field": ".".join(map(str, e["loc"])) or "recipe", "message": in_words(e, kind="knob")}
            for e in error.errors()
        ]
        said = "; ".join(f"{e['field']}: {e['message']}" for e in found)
        raise InvalidRecipe(f"The recipe cannot be used: {said}.", errors=found) from error
    return recipe if "optimizer" in fields else _with_history_that_fits(recipe)


def resized(recipe: Recipe, size: int) -> Recipe:
    """What `resolve` would have made of the same fields with another `size`."""
    other = recipe.model_copy(update={"size": size})
    unchosen = {"optimizer": LBFGS()}
    if recipe != _with_history_that_fits(recipe.model_copy(update=unchosen)):
        return other
    return _with_history_that_fits(other.model_copy(update=unchosen))


def suited_to(recipe: Recipe, weights_source: str) -> Recipe:
    """The recipe as it is painted: learned filters know objects less well than ImageNet's do.

    With them the painterly presets hold on to the content at a shallower layer, unless the sender chose one.
    """
    if weights_source != "calibrated" or not recipe.normalize or recipe.content_layers != DEEP_CONTENT:
        return recipe
    return recipe.model_copy(
        update={"content_layers": {"block3_conv2": 1.0}, "content_weight": 3 * recipe.content_weight}
    )


def _with_history_that_fits(recipe: Recipe) -> Recipe:
    """Fewer pairs for large pictures: each is two images, in memory and in every checkpoint."""
    if not isinstance(recipe.optimizer, LBFGS):
        return recipe
    pairs = _HISTORY_BYTES // (2 * 3 * 4 * recipe.size**2)
    history = max(_FEWEST_PAIRS, min(recipe.optimizer.history, pairs))
    return recipe.model_copy(update={"optimizer": LBFGS(history=history)})
