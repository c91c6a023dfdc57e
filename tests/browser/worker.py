"""`python -m browser.worker NAME`: the product's worker with the engine of gradual.py. STEP_SECONDS is its pace."""

import os
import sys

from browser.gradual import Gradual
from shared.settings import Settings
from worker import celery_app as worker_main

if __name__ == "__main__":
    worker_main.start(Settings(), sys.argv[1], lambda _: Gradual(float(os.environ["STEP_SECONDS"])))
