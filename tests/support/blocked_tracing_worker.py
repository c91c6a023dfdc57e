"""`python -m support.blocked_tracing_worker NAME`: a worker whose start of tracing never ends. The engine sleeps."""

import sys
import threading
from typing import Any
from unittest.mock import patch

from chaos.stack.engine import SleepingEngine

from shared.settings import Settings
from worker import celery_app


def _block(*_: Any) -> None:
    threading.Event().wait()


if __name__ == "__main__":
    with patch.object(celery_app, "configure_tracing", _block):
        celery_app.start(Settings(), sys.argv[1], lambda _: SleepingEngine(None))
