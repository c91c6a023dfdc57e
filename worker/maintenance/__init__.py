"""Background work of the reaper: expired leases, retention, garbage collection."""
