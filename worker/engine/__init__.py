"""The optimisation itself: tensors only, no queue, no store, no logs."""

from worker.engine.iterate import Iterate, revive
from worker.engine.stylize import stylize

__all__ = ["Iterate", "revive", "stylize"]
