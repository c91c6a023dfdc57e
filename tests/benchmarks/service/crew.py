"""`python -m benchmarks.service.crew COUNT TEMPER`: so many of the product's workers, with an engine that sleeps.

Each is a Celery parent with a child of its own, as `easel-worker start` makes them. They are forked from a process
that has imported everything, which each worker alone would spend a second and a half on.
"""

import os
import signal
import sys
from typing import Final

from chaos.engine import Sleeper

from benchmarks.service.moody import Moody
from deploy.local.processes import _die_with_parent
from shared.settings import Settings
from worker import celery_app as worker_main

STEP_SECONDS: Final = 0.1
_TEMPERS: Final = {"even": lambda _: Sleeper(None, STEP_SECONDS), "moody": lambda _: Moody()}


def main(count: int, temper: str) -> None:
    """Serve until SIGTERM, which ends all of them at once: what they leave behind is looked at by nobody."""
    for number in range(count):
        if not os.fork():
            _die_with_parent()
            return worker_main.start(Settings(), f"sleeper-{number}", _TEMPERS[temper])
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    while True:
        signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
