"""Limits the tasks of one group that run at the same time, so that tasks of others need not wait for a thread.

A group is what makes tasks slow together: the servers that one tenant's images come from, or contact sheets.
"""

import threading
from collections import Counter, defaultdict, deque


class TaskSlots:
    """Safe to share between threads. Each process has its own."""

    def __init__(self, per_group: int) -> None:
        self._per_group, self._lock = per_group, threading.Lock()
        self._running: Counter[str] = Counter()
        self._refused: defaultdict[str, deque[str]] = defaultdict(deque)  # IDs of tasks by group

    def acquire(self, group: str, task_id: str) -> bool:
        """Take a slot for a task, or return False: `release` returns the task later."""
        with self._lock:
            if self._running[group] >= self._per_group:
                if task_id not in self._refused[group]:  # the reaper sends it again and again
                    self._refused[group].append(task_id)
                return False
            self._running[group] += 1
            return True

    def release(self, group: str) -> str | None:
        """Free a slot. Return a task of the group that got none earlier, if there is one."""
        with self._lock:
            self._running[group] -= 1
            if not self._running[group]:
                del self._running[group]
            refused = self._refused[group]
            task_id = refused.popleft() if refused else None
            if not refused:
                del self._refused[group]
            return task_id
