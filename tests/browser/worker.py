"""`python -m browser.worker NAME` starts a worker with blend_engine.py. STEP_SECONDS sets the time per step."""

import os
import sys

from browser.blend_engine import BlendEngine
from shared.settings import Settings
from worker import celery_app

if __name__ == "__main__":
    celery_app.start(Settings(), sys.argv[1], lambda _: BlendEngine(float(os.environ["STEP_SECONDS"])))
