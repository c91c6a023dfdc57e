"""Reads single jobs for all threads of this process: status polls are by far the most frequent requests."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from shared.errors import LedgerUnavailable
from shared.ledger.job_snapshot import JobSnapshot, JobSnapshots


@dataclass(eq=False, slots=True)
class _Read:
    """One thread's request. `snapshot` or `error` is set when it is done, and both if serializing failed."""

    job_id: str
    snapshot: JobSnapshot | None = None
    json: str = ""
    error: Exception | None = None


class SnapshotBatcher:
    """Threads that call `get` while Redis is being read wait, and share the next read.

    One read costs little more for ten jobs than for one. One thread then serializes ten jobs in a row, which is cheaper
    than ten threads that alternate.
    """

    def __init__(self, snapshots: JobSnapshots, serialize: Callable[[JobSnapshot], str]) -> None:
        self._snapshots, self._serialize = snapshots, serialize
        self._waiting: deque[_Read] = deque()
        self._reading = threading.Lock()

    def get(self, job_id: str, confirm: Callable[[str | None], None]) -> tuple[JobSnapshot, str]:
        """Return the job as it is after this call began, and its JSON.

        `confirm` gets the ledger's id before anything else is used. Raises what `confirm` and `serialize` raise, and
        LedgerUnavailable.
        """
        read = _Read(job_id)
        self._waiting.append(read)
        with self._reading:
            if read.snapshot is None and read.error is None:
                self._read_waiting()
        if read.snapshot:
            confirm(read.snapshot.ledger_id)
        if read.error or not read.snapshot:
            raise read.error or RuntimeError("A read was lost.")
        return read.snapshot, read.json

    def _read_waiting(self) -> None:
        reads = self._take_waiting()
        try:
            snapshots = self._snapshots.read([read.job_id for read in reads])
        except LedgerUnavailable as error:  # requests that came meanwhile would wait for the same timeout
            _fail([*reads, *self._take_waiting()], error)
        except Exception as error:  # noqa: BLE001 - each thread raises it for itself
            _fail(reads, error)
        else:
            for read, snapshot in zip(reads, snapshots, strict=True):
                self._complete(read, snapshot)
                if isinstance(read.error, LedgerUnavailable):  # serializing the others would wait for it, too
                    return _fail([read for read in reads if read.snapshot is None], read.error)

    def _take_waiting(self) -> list[_Read]:
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def _complete(self, read: _Read, snapshot: JobSnapshot) -> None:
        read.snapshot = snapshot
        try:
            read.json = self._serialize(snapshot)
        except Exception as error:  # noqa: BLE001 - the same
            read.error = error


def _fail(reads: Iterable[_Read], error: Exception) -> None:
    for read in reads:
        read.error = error
