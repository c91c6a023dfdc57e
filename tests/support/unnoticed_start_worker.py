"""`python -m support.unnoticed_start_worker NAME`: a worker whose Celery parent never learns that a job has started.

The same happens to a real worker if SIGTERM arrives within milliseconds after the start. The engine sleeps.
"""

import sys
from typing import Any
from unittest.mock import patch

from billiard.pool import ApplyResult
from chaos.stack.engine import SleepingEngine

from shared.settings import Settings
from worker import celery_app

_ack = ApplyResult._ack
_started: list[str] = []


def _notice_wake_up_only(result: Any, *args: Any) -> None:
    """The first task wakes the worker up, the second runs the job."""
    _started.append(result.correlation_id)
    if len(_started) == 1:
        _ack(result, *args)


if __name__ == "__main__":
    with patch.object(ApplyResult, "_ack", _notice_wake_up_only):
        celery_app.start(Settings(), sys.argv[1], lambda _: SleepingEngine(None, step_seconds=2))
