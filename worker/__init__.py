"""What claims jobs and paints them: Celery around the engine."""

import os

# TensorFlow's own import ends with one of all of Keras, unless the old Keras is asked for, which is not installed. A
# worker uses neither, and each fresh child starts the sooner.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings and above: the rest would run through progress bars
