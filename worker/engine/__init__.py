"""The optimisation itself: tensors only, no queue, no store, no logs."""

from worker.engine.loop import Iterate, stylize

__all__ = ["Iterate", "stylize"]
