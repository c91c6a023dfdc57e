"""`python -m support.gpu_worker NAME`: a worker whose engine sleeps and reports a GPU."""

import sys
from collections.abc import Mapping
from typing import Any

from chaos.stack.engine import SleepingEngine

from shared.settings import Settings
from worker import celery_app


class SleeperOnGpu(SleepingEngine):
    """What Sleeper is, on a GPU."""

    def environment(self) -> Mapping[str, Any]:
        """See Engine."""
        return {**super().environment(), "gpus": ["NVIDIA H100 80GB HBM3"]}


if __name__ == "__main__":
    celery_app.start(Settings(), sys.argv[1], lambda _: SleeperOnGpu(None))
