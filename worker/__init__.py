"""The worker: claims jobs, renders them, and publishes the results.

`cli` is the command `easel-worker`. `celery_app` and `gpu_workers` run the processes; `job/` runs one job with the
engine in `engine/`; `maintenance/` and `webhooks/` run in the reaper; `devices/` describes the hardware.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # takes precedence over ~/.keras/keras.json
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings and above, because more would break up progress bars
# Take GPU memory only as needed, so that several processes can share a GPU: without this a single TensorFlow process
# takes nearly all of it (76 of 80 GiB on an H100). TensorFlow reads the variable when it first uses a GPU. Workers,
# tests and benchmarks all import this package before that.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
