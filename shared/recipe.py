"""The recipe: all parameters of a stylization, with bounds and units. Presets are in shared/presets.py.

Gatys, Ecker, Bethge: Image Style Transfer Using Convolutional Neural Networks, CVPR 2016.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from shared.patch_iterations import PatchIteration, patch_iterations

_CONVOLUTIONS: Final = {1: 2, 2: 2, 3: 4, 4: 4, 5: 4}
VGG19_LAYERS: Final = tuple(
    f"block{block}_conv{conv}" for block, count in _CONVOLUTIONS.items() for conv in range(1, count + 1)
)
"""Convolutions of VGG19 (Simonyan and Zisserman 2015) by their Keras names, from shallow to deep."""

_TORCH_NAMES: Final = {layer.replace("block", "relu").replace("_conv", "_"): layer for layer in VGG19_LAYERS}
"""As neural-style calls the activations, such as relu4_1; Keras applies the ReLU in the convolution's layer."""

DEFAULT_CONTENT_LAYERS: Final = {"block4_conv2": 1.0}
_LAYER_NAMES: Final[dict[str, Any]] = {"propertyNames": {"examples": list(VGG19_LAYERS)}}
"""For forms: more names are accepted, see _TORCH_NAMES."""

BitDepth = Literal[8, 16]
ColorSpace = Literal["srgb", "display-p3"]
MAX_SAVED_ITERATIONS: Final = 100
"""Images at full size that one job may save besides its result."""

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

    scale: float = Field(gt=0, le=1, description="Longest side as a share of the recipe's `size`, at least 64 pixels.")
    share: float = Field(gt=0, le=1, description="Share of the recipe's `steps`; shares are rescaled to sum to 1.")


class Recipe(_Frozen):
    """The objective, the optimizer, the image size and the number of steps of a run."""

    preset: str = Field("custom", max_length=40, description="Name of the preset that this recipe is based on.")
    size: int = Field(512, ge=64, le=4096, description="Longest side of the result, in pixels.")
    steps: int = Field(
        200,
        ge=0,
        le=20_000,
        description="Evaluations of loss and gradient over all stages; with 0, patch matching makes the result, "
        "without VGG19.",
    )
    stages: tuple[Stage, ...] = Field(
        (Stage(scale=1, share=1),),
        min_length=1,
        max_length=6,
        description="Sizes to render, in order and usually coarse to fine; each stage starts from the previous result, "
        "and the last one makes the result: `size` is its longest side if the scale is 1.",
    )
    style_scale: float = Field(
        1.0, ge=0.25, le=4, description="Longest side of the style images relative to `size`: above 1, strokes grow."
    )
    init: Literal["content", "noise", "patches", "image"] = Field(
        "content",
        description="Start image: the content image; random noise; the content made of patches of the styles, which "
        "takes a few more steps before the first evaluation; or the `init_image` of the request.",
    )
    color: Literal["style", "content", "match"] = Field(
        "style",
        description="Colors of the result: those of the styles; the chroma of the content, with the lightness of the "
        "result; or those of the styles after they were given the content's mean color and covariance.",
    )
    color_strength: float = Field(
        1.0, ge=0, le=1, description="How far the `color` `content` or `match` moves the colors: 0 has no effect."
    )
    color_space: Literal["auto", "srgb", "display-p3"] = Field(
        "auto",
        description="RGB color space of the rendering and the result: sRGB; Display P3, which has more saturated "
        "colors; or `auto`, which is Display P3 if the content has colors that sRGB does not have.",
    )
    bit_depth: BitDepth = Field(
        8, description="Bits per channel of the result; the PNG and TIFF have 16 if asked for, the others 8."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of all random numbers: of the noise, or of patch matching.")

    content_layers: dict[str, Weight] = Field(
        DEFAULT_CONTENT_LAYERS,
        description="VGG19 layers whose activations represent the content, with weights.",
        json_schema_extra=_LAYER_NAMES,
    )
    style_layers: dict[str, Weight] = Field(
        {f"block{block}_conv1": 0.2 for block in range(1, 6)},
        description="VGG19 layers whose Gram matrices represent the style, with weights.",
        json_schema_extra=_LAYER_NAMES,
    )
    style_loss: Literal["gram", "wasserstein"] = Field(
        "gram",
        description="Distance of Gram matrices: their mean squared difference, or the 2-Wasserstein distance, which "
        "weighs weak and strong correlations more equally; give it a style weight of 5 to 8 instead of 20.",
    )
    match_weight: Weight = Field(
        0.0,
        description="Weight of the match loss, a part of the style loss: each activation in the style layers from "
        "block 4 on comes close to the most similar one of the styles, which brings out their strokes.",
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
    style_scales: tuple[Annotated[float, Field(ge=0.25, le=4)], ...] = Field(
        (), max_length=8, description="Size of each style image, in order, as a factor of `style_scale`; empty is 1."
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
    averaging: float = Field(
        0.0,
        ge=0,
        le=0.999,
        description="Decay of a moving average of the images of a stage, which is what people see and what the next "
        "stage starts from: 0 is the latest image alone, 0.9 about the last ten.",
    )
    optimizer: Adam | LBFGS = Field(
        LBFGS(), discriminator="kind", description="Optimization algorithm, with its options."
    )
    save_every: int = Field(
        0,
        ge=0,
        le=20_000,
        description="Saves the image of every so many steps at the size that it has there, at most 100 images; 0 saves "
        "none. Steps of patch matching count.",
    )

    @field_validator("content_layers", "style_layers")
    @classmethod
    def _known_layers(cls, layers: dict[str, float]) -> dict[str, float]:
        weights = {_TORCH_NAMES.get(layer, layer): weight for layer, weight in layers.items()}
        if len(weights) < len(layers):
            msg = "a layer has two weights, one by its Keras name and one by its Torch name"
            raise ValueError(msg)
        unknown = sorted(set(weights) - set(VGG19_LAYERS))
        if unknown:
            msg = (
                f"VGG19 has no layer {', '.join(unknown)}; choose from {', '.join(VGG19_LAYERS)}, or relu1_1 to relu5_4"
            )
            raise ValueError(msg)
        return {layer: weights[layer] for layer in VGG19_LAYERS if layer in weights}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not (any(self.content_layers.values()) or any(self.style_layers.values())):
            raise _inconsistent("style_layers", "give at least one content or style layer a weight above 0")
        if self.steps and not (self.content_weight or self.style_weight or self.match_weight):
            raise _inconsistent("style_weight", "is 0 like content_weight; give one of them a weight above 0")
        if self.style_mix and not sum(self.style_mix):
            raise _inconsistent("style_mix", "give at least one style image a weight above 0")
        if self.style_loss == "wasserstein" and not self.normalize:
            raise _inconsistent("style_loss", "wasserstein is always relative to its target; set normalize to true")
        if self.match_weight and not self.match_layers:
            raise _inconsistent("match_weight", "needs a style layer of block 4 or 5; give one a weight above 0")
        if not self.steps and self.init != "patches":
            raise _inconsistent(
                "steps", "is 0, which needs init patches and no start image; raise steps, or change init"
            )
        if len(self.stages) > max(1, self.steps):
            fix = "raise steps" if self.steps else "without evaluations give one stage"
            raise _inconsistent("stages", f"{len(self.stages)} stages need at least {len(self.stages)} steps; {fix}")
        if self.save_every and (count := self.total_steps // self.save_every) > MAX_SAVED_ITERATIONS:
            least, most = (
                self.total_steps // (MAX_SAVED_ITERATIONS + 1) + 1,
                f"at most {MAX_SAVED_ITERATIONS} are saved",
            )
            fix = f"set it to {least} or more, or to 0"
            raise _inconsistent("save_every", f"would save {count} images in {self.total_steps} steps; {most}: {fix}")
        return self

    @property
    def match_layers(self) -> tuple[str, ...]:
        """The style layers that the match loss uses: shallower ones have too many activations to compare."""
        return tuple(layer for layer, weight in self.style_layers.items() if weight and layer >= "block4")

    @property
    def rendered_space(self) -> ColorSpace:
        """The color space of a run whose images are in it: without `in_space`, `auto` is sRGB."""
        return "srgb" if self.color_space == "auto" else self.color_space

    def in_space(self, content: ColorSpace) -> Self:
        """Return the recipe with `auto` replaced by the color space of the content."""
        return self.model_copy(update={"color_space": content}) if self.color_space == "auto" else self

    def scales(self, styles: int) -> tuple[float, ...]:
        """Return the size of each of so many style images relative to `size`."""
        return tuple(self.style_scale * scale for scale in self.style_scales or (1.0,) * styles)

    def shares(self, styles: int) -> tuple[float, ...]:
        """Return the share of each of so many style images, 1 in sum."""
        mix = self.style_mix or (1.0,) * styles
        return tuple(weight / sum(mix) for weight in mix)

    def patch_iterations(self) -> tuple[PatchIteration, ...]:
        """Return the iterations of patch matching before the first evaluation, coarse to fine; none by default."""
        return patch_iterations(self.schedule()[0][0]) if self.init == "patches" else ()

    @property
    def total_steps(self) -> int:
        """Number of a run's last step, from 0: of its iterations of patch matching and its evaluations.

        There is one more evaluation than `steps`, for the losses of the result.
        """
        return len(self.patch_iterations()) + (self.steps or -1)

    def saves(self, step: int) -> bool:
        """Return whether the image of this step is saved."""
        return self.save_every > 0 and step > 0 and step % self.save_every == 0

    def schedule(self) -> list[tuple[int, int]]:
        """Return (longest side in pixels, evaluations) of each stage: at least 1 each, `steps` in all.

        Without steps, the only stage is the size that patch matching ends at.
        """
        if not self.steps:
            return [(max(64, round(self.size * self.stages[0].scale)), 0)]
        total, spare = sum(stage.share for stage in self.stages), self.steps - len(self.stages)
        done, cumulative_share, schedule = 0, 0.0, []
        for stage in self.stages:
            cumulative_share += stage.share / total
            end = round(spare * cumulative_share)
            schedule.append((max(64, round(self.size * stage.scale)), 1 + end - done))
            done = end
        return schedule


def _inconsistent(field: str, message: str) -> PydanticCustomError:
    return PydanticCustomError("inconsistent", "{message}", {"field": field, "message": message})
