"""The reaper and its background work: expired leases, wake-ups, webhooks, and garbage collection."""
