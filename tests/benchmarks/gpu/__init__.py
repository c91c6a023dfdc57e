"""The engine's step on a GPU, where TensorFlow for GPUs may not be at hand: its program, run by JAX."""
