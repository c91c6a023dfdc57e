"""Adam and L-BFGS behind one protocol over explicit state (`protocol.py`)."""

from shared import recipe
from worker.engine.optimizers.adam import Adam
from worker.engine.optimizers.lbfgs import LBFGS
from worker.engine.optimizers.protocol import Arrays, Optimizer, OptimizerState

__all__ = ["LBFGS", "Adam", "Arrays", "Optimizer", "OptimizerState", "optimizer_for"]


def optimizer_for(settings: recipe.Adam | recipe.LBFGS) -> Optimizer:
    """The optimizer that a recipe names."""
    return Adam(settings) if isinstance(settings, recipe.Adam) else LBFGS(settings)
