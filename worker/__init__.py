"""What claims jobs and paints them: Celery around the engine."""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever ~/.keras/keras.json says
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # warnings and above: the rest would run through progress bars
# A GPU's memory is taken only as it is needed, so that several processes can share one: without this a single process
# of TensorFlow takes nearly all of it (76 of 80 GiB on an H100). TensorFlow reads it when it first uses a GPU, so here
# it holds for workers, tests and benchmarks alike: all of them import this package before that.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
