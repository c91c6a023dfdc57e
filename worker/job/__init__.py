"""One job from claim to result.

`run` is the loop and its outcomes, and `session` its access to the ledger. `heartbeat` (lease, `progress`, control
flags) and `checkpoints` (in `checkpoint_format`) are threads next to the loop. `inputs` and `resume` come before the
loop; `publish` and `provenance`, or `drain`, come after it. `worker_state` is what lasts from job to job.
"""
