"""Faults of webhook receivers."""

import time
from typing import Final

from chaos.faults.registry import FaultContext, fault

_SECONDS: Final = 4.0


@fault(domain="receiver")
def receiver_down(context: FaultContext) -> bool:
    """Let the receiver respond to every delivery with an error."""
    receiver = context.clients.receiver
    receiver.down = True
    time.sleep(_SECONDS)
    receiver.down = False
    return True
