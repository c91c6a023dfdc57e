"""One job from claim to result.

`run` is its story from top to bottom, and `session` the only access to the ledger and the job's files. `load` comes
before the loop, `publish` after it; `heartbeat` (lease, `progress`, control flags) and `checkpoints` (in
`checkpoint_format`) are threads next to it. `worker_state` is what lasts from job to job.
"""
