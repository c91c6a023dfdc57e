"""`python -m benchmarks.service.support.worker_pool COUNT SPEED`: real workers with a simulated engine.

SPEED is even or uneven. Each worker is a Celery parent with its child, like those of `easel-worker start`. They are
forked from a process that has imported everything, because the imports would take each worker a second and a half.
"""

import os
import signal
import sys
from typing import Final

from chaos.stack.engine import SleepingEngine

from benchmarks.service.support.uneven_engine import UnevenEngine
from shared.process import end_with_parent
from shared.settings import Settings
from worker import celery_app

STEP_SECONDS: Final = 0.1
_ENGINES: Final = {"even": lambda _: SleepingEngine(None, STEP_SECONDS), "uneven": lambda _: UnevenEngine()}


def main(count: int, speed: str) -> None:
    """Serve until SIGTERM, which kills all of them immediately: nothing reads their state afterwards."""
    parent = os.getpid()
    for number in range(count):
        if not os.fork():
            end_with_parent(parent)
            return celery_app.start(Settings(), f"simulated-{number}", _ENGINES[speed])
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
