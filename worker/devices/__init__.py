"""The hardware of a worker: GPUs, CUDA libraries, memory, and the device that TensorFlow uses."""
