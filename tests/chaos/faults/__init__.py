"""Every way in which the world is hurt. Each fault injects, lasts, heals, and says whether it came about."""

from chaos.faults import jobs, ledger, store, workers  # noqa: F401 - each registers its own
from chaos.faults.registry import FAULTS, Fault, Stage

__all__ = ["FAULTS", "Fault", "Stage"]
