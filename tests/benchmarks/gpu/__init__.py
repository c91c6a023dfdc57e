"""The engine on a GPU, beside what people would run there instead: `python -m benchmarks.gpu`."""
