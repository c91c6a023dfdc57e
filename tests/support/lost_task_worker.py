"""`python -m support.lost_task_worker NAME`: a worker whose first task for a claimed job is lost. The engine sleeps.

The same happens if Redis crashes between the claim and the task, without having written the message to disk.
"""

import sys
from unittest.mock import patch

from chaos.stack.engine import SleepingEngine
from kombu import Queue

from shared.dispatch import Dispatcher
from shared.settings import Settings
from worker import celery_app

_run_here = Dispatcher.run_here
_lost: list[str] = []


def _lose_first(dispatcher: Dispatcher, queue: Queue, job_id: str, token: str, number: int) -> None:
    if _lost:
        return _run_here(dispatcher, queue, job_id, token, number)
    return _lost.append(job_id)


if __name__ == "__main__":
    with patch.object(Dispatcher, "run_here", _lose_first):
        celery_app.start(Settings(), sys.argv[1], lambda _: SleepingEngine(None))
