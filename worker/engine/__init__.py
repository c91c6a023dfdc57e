"""The optimization itself: tensors only, no queue, no store, no logs."""

from worker.engine.iterate import Iterate, restore_iterate
from worker.engine.stylize import stylize

__all__ = ["Iterate", "restore_iterate", "stylize"]
