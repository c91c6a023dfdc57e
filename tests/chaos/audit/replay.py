"""Rebuilds each job's history from the ledger's append-only file, without any of the code under test.

For that reason the names of keys, fields and states are repeated here. Times are seconds since the epoch by the
server's clock; a change without an event has the time of the last event before it.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from chaos.audit.aof import Command, transactions
from chaos.audit.job_history import Claim, Event, JobHistory, Outcome

_RECORD: Final = b"easel:job:"
_EVENTS: Final = b"easel:events:"
_ENDS: Final = frozenset({"succeeded", "failed", "canceled"})
_OUTCOMES: Final[dict[str, Outcome]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
    "queued": "queued",
}
_FENCED: Final = ("checkpoint", "preview", "result")  # the fields whose keys contain the claim token of their writer
_OTHERS: Final = ("id", "state", "claim", "worker", "ended_by", "progress", "resumed_from_step")
_READ: Final = frozenset(name.encode() for name in (*_FENCED, *_OTHERS))
_IDLE: Final = frozenset({"waiting", "preparing", "done"})  # phases without steps


def read_histories(folder: Path) -> dict[str, JobHistory]:
    """Return every job's history by its id; `folder` is the server's --dir. Raises ValueError for a rewritten file."""
    replay = _Replay()
    for transaction in transactions(folder):
        replay.play(transaction)
    return {job_id: job_replay.history for job_id, job_replay in replay.jobs.items()}


class _Replay:
    def __init__(self) -> None:
        self.jobs: dict[str, _JobReplay] = {}
        self._now = 0.0
        self._touched: dict[str, _JobReplay] = {}

    def play(self, transaction: list[Command]) -> None:
        """Apply the commands of one transaction, then check each job that it touched."""
        for command in transaction:
            self._apply(command)
        for job_replay in self._touched.values():
            job_replay.commit(self._now)
        self._touched.clear()

    def _apply(self, command: Command) -> None:
        match command[0].upper():
            case b"HSET" if command[1].startswith(_RECORD):
                self._job(command[1], _RECORD).write(command[2:])
            case b"XADD" if command[1].startswith(_EVENTS):
                self._add_event(command)
            case b"HDEL" if command[1].startswith(_RECORD):
                self._job(command[1], _RECORD).unset(command[2:])
            case b"DEL" | b"UNLINK":
                for key in command[1:]:
                    if key.startswith(_RECORD):
                        self._job(key, _RECORD).forget()
            case b"FLUSHALL" | b"FLUSHDB":
                for job_replay in self.jobs.values():
                    job_replay.flush(self._now)

    def _add_event(self, command: Command) -> None:
        """Parse `XADD key MAXLEN = n milliseconds-sequence kind KIND data DATA`."""
        entry_id, _, kind, _, data = command[-5:]
        self._now = int(entry_id.partition(b"-")[0]) / 1000
        self._job(command[1], _EVENTS).new_events.append(Event(self._now, sys.intern(kind.decode()), data))

    def _job(self, key: bytes, prefix: bytes) -> "_JobReplay":
        job_id = key[len(prefix) :].decode()
        if job_id not in self._touched:
            if job_id not in self.jobs:
                self.jobs[job_id] = _JobReplay(job_id)
            self._touched[job_id] = self.jobs[job_id]
            self._touched[job_id].begin()
        return self._touched[job_id]


class _JobReplay:
    """One job's record, and the changes that one transaction makes to it."""

    def __init__(self, job_id: str) -> None:
        self.history = JobHistory(job_id)
        self.new_events: list[Event] = []
        self._record: dict[str, str] = {}
        self._written: dict[str, str] = {}  # in this transaction
        self._holder = ""  # the claim token before this transaction
        self._end: tuple[str, str] | None = None
        self._step = self._highest = 0  # the last one written, and the highest one ever written
        self._started = False  # whether the current claim has done a step
        self._checkpoint_step = 0  # of its newest checkpoint, or the step where it began

    def begin(self) -> None:
        self.new_events, self._written = [], {}
        self._holder = self._record.get("claim", "")

    def write(self, pairs: list[bytes]) -> None:
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            if name in _READ:
                self._record[name.decode()] = self._written[name.decode()] = value.decode()
        self.history.deleted = False

    def unset(self, names: list[bytes]) -> None:
        for name in names:
            self._record.pop(name.decode(), None)

    def forget(self) -> None:
        self._record.clear()
        self.history.deleted = True

    def flush(self, at: float) -> None:
        if "claim" in self._record:
            self._end_claim("flushed", at)
        self._record.clear()
        self._step = 0
        self.begin()

    def commit(self, now: float) -> None:
        at = self.new_events[-1].at if self.new_events else now
        restored = any(event.kind == "state" and event.data.get("restored") for event in self.new_events)
        if not restored:  # a record restored from the blob store has the tokens of earlier claims
            self.history.stale_writes += (f"At {at:.3f} {message}." for message in self._stale_writes())
        self._follow_claim(at)
        self._follow_steps(restored=restored)
        self._follow_end(restored=restored)
        self.history.events += self.new_events

    def _stale_writes(self) -> Iterator[str]:
        new_holder = self._written.get("claim", "")
        holders = {self._holder, new_holder} - {""}
        holder = " and ".join(sorted(holders)) or "no worker"
        for name in _FENCED:
            key = self._written.get(name)
            if key and _token(key) not in holders:
                yield f"{_token(key)} wrote the {name} {key} while {holder} held the job"
        ended_by = self._written.get("ended_by")
        if ended_by and ended_by not in holders:
            yield f"{ended_by} ended the job while {holder} held it"
        if "progress" in self._written and "id" not in self._written and not holders:
            yield "progress was written while no worker held the job"
        if new_holder and self._holder and new_holder != self._holder:
            yield f"{new_holder} took the job while {self._holder} held it"

    def _follow_claim(self, at: float) -> None:
        token = self._record.get("claim", "")
        if token == self._holder:
            return
        if self._holder:
            lost = any(event.kind == "lease_lost" for event in self.new_events)
            self._end_claim("lost" if lost else _OUTCOMES.get(self._written.get("state", ""), "lost"), at)
        if token:
            self.history.claims.append(Claim(at, token, self._record.get("worker", ""), "active", None))
            self._started = False

    def _end_claim(self, outcome: Outcome, at: float) -> None:
        self.history.claims[-1] = replace(self.history.claims[-1], outcome=outcome, ended_at=at)

    def _follow_steps(self, *, restored: bool) -> None:
        written = self._written.get("progress")
        progress = json.loads(written) if written else None
        if not restored:
            if "resumed_from_step" in self._written:
                self._resume_from(int(self._written["resumed_from_step"]))
            elif progress and (progress["phase"] not in _IDLE or progress["current"] != self._step):
                self._resume_from(0)
            if key := self._written.get("checkpoint"):
                self.history.intervals.append(_step(key) - self._checkpoint_step)
                self._checkpoint_step = _step(key)
        if progress:
            self._step = progress["current"]
            self._highest = max(self._highest, self._step)

    def _resume_from(self, step: int) -> None:
        if self._started:
            return
        if len(self.history.claims) > 1:
            self.history.redone.append((self.history.claims[-1].at, max(0, self._highest - step)))
        key, token = self._record.get("checkpoint"), self._record.get("claim", self._holder)
        newest = _step(key) if key else 0
        own = key is not None and _token(key) == token  # its first checkpoint may precede its first progress event
        if not own and step < newest and not self._warned():
            message = f"{token} resumed from step {step}, although the record named a checkpoint of step {newest}"
            self.history.outdated_resumes.append(message)
        self._started, self._checkpoint_step = True, newest if own else step

    def _warned(self) -> bool:
        """Return whether an event says that a checkpoint of this job cannot be used."""
        events = (*self.history.events, *self.new_events)
        return any(event.data.get("code") == "checkpoint_unusable" for event in events)

    def _follow_end(self, *, restored: bool) -> None:
        state, result = self._written.get("state", ""), self._record.get("result", "")
        if result and result not in self.history.results:
            self.history.results.append(result)
        if state in _ENDS and not (restored and self._end == (state, result)):
            self.history.ends.append(state)
        if state in _ENDS:
            self._end = state, result


def _token(key: str) -> str:
    """Return TOKEN of jobs/ID/checkpoints/TOKEN-000012, .../previews/TOKEN-000012.jpg or .../results/TOKEN.png."""
    return key.rpartition("/")[2].partition(".")[0].partition("-")[0]


def _step(key: str) -> int:
    """Return 12 for jobs/ID/checkpoints/TOKEN-000012."""
    return int(key.rpartition("-")[2])
