"""What a worker runs on: GPUs, the CUDA libraries, memory."""
