"""Sets TensorFlow up for this process, once, before it does anything."""

import tensorflow as tf


def configure_tensorflow(threads: int) -> None:
    """Use `threads`, 0 for all cores; take a GPU's memory only as it is needed, so that workers can share one."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, enable=True)
