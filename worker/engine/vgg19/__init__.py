"""The same evaluation as `worker.engine.model`, faster on processors: Winograd convolutions, a written-out gradient."""
