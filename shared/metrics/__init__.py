"""Prometheus metrics that API, workers and reaper share, and their HTTP server for processes that have none.

`instruments` has the counters and histograms, `pipe` brings those of a worker's child process to its parent, and
`server` serves them. `jobs` and `services` define what every kind of process counts. Labels are few and bounded: never
a job, a client or anything else that a client writes.
"""
