"""Limits the jobs of one tenant that are fetched at the same time: slow servers of one must not hold up the others."""

import threading
from collections import Counter, defaultdict, deque


class TenantSlots:
    """Safe to share between threads. Each process has its own."""

    def __init__(self, per_tenant: int) -> None:
        self._per_tenant, self._lock = per_tenant, threading.Lock()
        self._running: Counter[str] = Counter()
        self._refused: defaultdict[str, deque[str]] = defaultdict(deque)  # IDs of jobs by tenant

    def acquire(self, tenant: str, job_id: str) -> bool:
        """Take a slot for a job, or return False: `release` returns the job later."""
        with self._lock:
            if self._running[tenant] >= self._per_tenant:
                if job_id not in self._refused[tenant]:  # the reaper sends it again and again
                    self._refused[tenant].append(job_id)
                return False
            self._running[tenant] += 1
            return True

    def release(self, tenant: str) -> str | None:
        """Free a slot. Return a job of the tenant that got none earlier, if there is one."""
        with self._lock:
            self._running[tenant] -= 1
            if not self._running[tenant]:
                del self._running[tenant]
            refused = self._refused[tenant]
            job_id = refused.popleft() if refused else None
            if not refused:
                del self._refused[tenant]
            return job_id
