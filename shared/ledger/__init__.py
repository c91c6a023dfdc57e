"""The queue and the jobs' records in Redis. Every write is one atomic Lua script (scripts/)."""
