"""Learning of calibrated weights on small images: a second or two instead of many.

`python -m support.small_calibration NAME` runs a worker that learns so.
"""

import sys
from importlib import import_module
from typing import Final

from shared.settings import Settings
from worker import celery_app
from worker.protocols import Engine

_FOLDER: Final = "worker.engine.weights.calibrated"
SMALL_CALIBRATION: Final = (
    (f"{_FOLDER}.calibrate", "SIDE", 64),
    (f"{_FOLDER}.filters", "PATCHES", 600),
    (f"{_FOLDER}.filters", "CHANNELS", 32),
)
"""Module, constant, its value for small images."""


def _open_engine(settings: Settings) -> Engine:
    for module, name, value in SMALL_CALIBRATION:  # here: the modules import TensorFlow, which only a child may
        setattr(import_module(module), name, value)
    return celery_app.open_tensorflow_engine(settings)


if __name__ == "__main__":
    celery_app.start(Settings(), sys.argv[1], _open_engine)
