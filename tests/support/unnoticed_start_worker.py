"""`python -m support.unnoticed_start_worker NAME`: a worker whose Celery parent never learns that a task has started.

The same happens to a real worker if SIGTERM arrives within milliseconds after the start. The engine sleeps.
"""

import sys
from unittest.mock import patch

from billiard.pool import ApplyResult
from chaos.stack.engine import SleepingEngine

from shared.settings import Settings
from worker import celery_app

if __name__ == "__main__":
    with patch.object(ApplyResult, "_ack"):
        celery_app.start(Settings(), sys.argv[1], lambda _: SleepingEngine(None, step_seconds=2))
