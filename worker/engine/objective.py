"""The objective of one stage: L = alpha L_content + beta L_style + gamma L_tv, as weighted by a recipe.

Gatys, Ecker, Bethge (CVPR 2016), equation 7, and the total variation. In a recipe alpha is `content_weight`, beta
`style_weight` and gamma `variation_weight`. A recipe may add the match loss, with `match_weight`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import tensorflow as tf

from shared.recipe import Recipe
from worker.engine.losses import (
    ContentLoss,
    StyleDistance,
    StyleLoss,
    TotalVariationLoss,
    gram_distance,
    gram_root,
    wasserstein_distance,
)
from worker.engine.match_loss import MatchLoss
from worker.engine.model import Features
from worker.engine.regions import Guides

GramMatrices = Mapping[str, tf.Tensor]


@dataclass(frozen=True)
class Objective:
    """The recipe's losses and their targets at one size."""

    recipe: Recipe
    targets: Features
    guides: Guides | None = None

    def __call__(self, image: tf.Tensor, features: Features) -> tf.Tensor:
        """Return the weighted [total, style, content, total variation] of an image (height, width, 3).

        The match loss is part of the style loss.
        """
        recipe, relative = self.recipe, self.recipe.normalize
        shares = self.guides.shares if self.guides else None
        style_loss = StyleLoss(_style_distance(recipe), self.targets["style"], recipe.style_layers, shares)
        style = recipe.style_weight * style_loss(features["style"])
        if recipe.match_weight:
            match_loss = MatchLoss(self.targets["match"], recipe.style_layers, self.guides)
            style += recipe.match_weight * match_loss(features["match"])
        content = ContentLoss(self.targets["content"], recipe.content_layers, relative)(features["content"])
        variation = TotalVariationLoss(relative, recipe.chroma_variation)(image)
        terms = [style, recipe.content_weight * content, recipe.variation_weight * variation]
        return tf.stack([tf.add_n(terms), *terms])


def style_targets(gram_matrices: GramMatrices, recipe: Recipe) -> dict[str, tf.Tensor]:
    """Return what the recipe's style loss compares with, by layer, from the Gram matrices of the style."""
    to_target = gram_root if recipe.style_loss == "wasserstein" else tf.identity
    return {layer: to_target(matrices) for layer, matrices in gram_matrices.items()}


def _style_distance(recipe: Recipe) -> StyleDistance:
    if recipe.style_loss == "wasserstein":
        return wasserstein_distance
    return partial(gram_distance, relative=recipe.normalize)


def stack_styles(styles: Sequence[GramMatrices]) -> dict[str, tf.Tensor]:
    """Return the styles' Gram matrices by layer, (styles, channels, channels): one for each region."""
    return {layer: tf.concat([style[layer] for style in styles], axis=0) for layer in styles[0]}


def blend_styles(styles: Sequence[GramMatrices], recipe: Recipe) -> dict[str, tf.Tensor]:
    """Return the mean of the styles' Gram matrices, weighted by `style_mix`."""
    shares = recipe.shares(len(styles))
    return {
        layer: tf.add_n([share * style[layer] for share, style in zip(shares, styles, strict=True)])
        for layer in styles[0]
    }
