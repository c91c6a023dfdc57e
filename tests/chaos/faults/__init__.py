"""All faults. Each function injects one, waits, ends it, and returns whether it was possible."""

from chaos.faults import jobs, ledger, store, webhooks, workers  # noqa: F401 - importing them registers their faults
from chaos.faults.registry import FAULTS, Fault, FaultContext

__all__ = ["FAULTS", "Fault", "FaultContext"]
