"""The queue and the job records in Redis, with snapshots, statistics and the webhook outbox.

Every write that changes a job is one atomic Lua script (scripts/).
"""
