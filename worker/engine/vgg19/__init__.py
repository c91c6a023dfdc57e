"""The evaluation of `worker.engine.model`, faster on CPUs: Winograd convolutions and an explicit backward pass."""
