"""One job from claim to result: inputs, the loop, heartbeat, checkpoints, publication, drain."""
