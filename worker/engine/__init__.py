"""The optimisation itself: tensors only, no queue, no store, no logs."""

from worker.engine.iterate import Iterate, revive
from worker.engine.loop import stylize

__all__ = ["Iterate", "revive", "stylize"]
