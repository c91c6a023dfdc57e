"""Benchmarks of the engine: time per step, time to a loss, memory, and overheads of the worker."""
