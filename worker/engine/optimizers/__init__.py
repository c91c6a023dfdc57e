"""Adam and L-BFGS, which implement one protocol over explicit state (`protocol.py`)."""

from shared import recipe
from worker.engine.optimizers.adam import Adam
from worker.engine.optimizers.lbfgs import LBFGS
from worker.engine.optimizers.protocol import Arrays, Optimizer, OptimizerState

__all__ = ["LBFGS", "Adam", "Arrays", "Optimizer", "OptimizerState", "optimizer_for"]


def optimizer_for(settings: recipe.Adam | recipe.LBFGS) -> Optimizer:
    """Return the optimizer for a recipe's settings."""
    return Adam(settings) if isinstance(settings, recipe.Adam) else LBFGS(settings)
