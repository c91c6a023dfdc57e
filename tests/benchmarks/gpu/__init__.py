"""Benchmarks of the engine and its baselines on a GPU: `python -m benchmarks.gpu`."""
