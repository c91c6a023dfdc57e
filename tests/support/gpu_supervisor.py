"""`python -m support.gpu_supervisor ARGUMENT... NAME`: the supervisor of `--gpus` with two fake GPUs.

It runs `python ARGUMENT... NAME-gpu0` and so on. PYTHON sets another executable, and FIRST_DELAY the seconds before
the first restart.
"""

import os
import sys
from typing import Final

from shared.logging import configure_logging
from shared.settings import Settings
from worker import gpu_workers
from worker.devices.gpus import Gpu

GPUS: Final = tuple(Gpu(f"gpu{number}", f"GPU-{number}", "none", 0) for number in (0, 2))

if __name__ == "__main__":
    configure_logging(Settings())
    *arguments, name = sys.argv[1:]
    first_delay = float(os.environ.get("FIRST_DELAY", "0.1"))
    python = os.environ.get("PYTHON", sys.executable)
    gpu_workers.run(
        GPUS,
        name,
        command=(python, *arguments),
        first_delay=first_delay,
        metrics_port=Settings().metrics_port,
    )
