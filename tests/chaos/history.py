"""What happened to each job, by the ledger's own append-only file: an audit that trusts none of the code under test.

So the names of keys, fields and states stand here once more. Times are seconds since the epoch by the server's
clock; what came without an event has the time of the last event before it.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from chaos.aof import Command, transactions
from chaos.story import Claim, Event, How, Story

_RECORD: Final = b"easel:job:"
_EVENTS: Final = b"easel:events:"
_ENDS: Final = frozenset({"succeeded", "failed", "canceled"})
_OUTCOMES: Final[dict[str, How]] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
    "queued": "queued",
}
_FENCED: Final = ("checkpoint", "preview", "result")  # the fields whose keys carry the token of who wrote them
_OTHERS: Final = ("id", "state", "claim", "worker", "ended_by", "progress", "resumed_from_step")
_READ: Final = frozenset(name.encode() for name in (*_FENCED, *_OTHERS))
_IDLE: Final = frozenset({"waiting", "preparing", "done"})  # phases in which nothing is painted


def read(folder: Path) -> dict[str, Story]:
    """Every job's story by its id, from the server's --dir. Raises ValueError where the file is not whole."""
    replay = _Replay()
    for transaction in transactions(folder):
        replay.play(transaction)
    return {job_id: life.story for job_id, life in replay.lives.items()}


class _Replay:
    def __init__(self) -> None:
        self.lives: dict[str, _Life] = {}
        self._now = 0.0
        self._touched: dict[str, _Life] = {}

    def play(self, transaction: list[Command]) -> None:
        """Do again what was done at once, then judge it job by job."""
        for command in transaction:
            self._do(command)
        for life in self._touched.values():
            life.settle(self._now)
        self._touched.clear()

    def _do(self, command: Command) -> None:
        match command[0].upper():
            case b"HSET" if command[1].startswith(_RECORD):
                self._life(command[1], _RECORD).write(command[2:])
            case b"XADD" if command[1].startswith(_EVENTS):
                self._tell(command)
            case b"HDEL" if command[1].startswith(_RECORD):
                self._life(command[1], _RECORD).unset(command[2:])
            case b"DEL" | b"UNLINK":
                for key in command[1:]:
                    if key.startswith(_RECORD):
                        self._life(key, _RECORD).forget()
            case b"FLUSHALL" | b"FLUSHDB":
                for life in self.lives.values():
                    life.flush(self._now)

    def _tell(self, command: Command) -> None:
        """XADD key MAXLEN = n milliseconds-sequence kind KIND data DATA."""
        moment, _, kind, _, data = command[-5:]
        self._now = int(moment.partition(b"-")[0]) / 1000
        self._life(command[1], _EVENTS).news.append(Event(self._now, sys.intern(kind.decode()), data))

    def _life(self, key: bytes, prefix: bytes) -> "_Life":
        job_id = key[len(prefix) :].decode()
        if job_id not in self._touched:
            if job_id not in self.lives:
                self.lives[job_id] = _Life(job_id)
            self._touched[job_id] = self.lives[job_id]
            self._touched[job_id].begin()
        return self._touched[job_id]


class _Life:
    """One job's record as it stood, and what one transaction makes of it."""

    def __init__(self, job_id: str) -> None:
        self.story = Story(job_id)
        self.news: list[Event] = []
        self._record: dict[str, str] = {}
        self._written: dict[str, str] = {}  # in this transaction
        self._held = ""  # the token that stood before it
        self._end: tuple[str, str] | None = None
        self._step = self._highest = 0  # as last written, and ever
        self._going = False  # whether the present claim is known to have painted
        self._kept = 0  # the step of its newest checkpoint, or where it began

    def begin(self) -> None:
        self.news, self._written = [], {}
        self._held = self._record.get("claim", "")

    def write(self, pairs: list[bytes]) -> None:
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            if name in _READ:
                self._record[name.decode()] = self._written[name.decode()] = value.decode()
        self.story.deleted = False

    def unset(self, names: list[bytes]) -> None:
        for name in names:
            self._record.pop(name.decode(), None)

    def forget(self) -> None:
        self._record.clear()
        self.story.deleted = True

    def flush(self, at: float) -> None:
        if "claim" in self._record:
            self._end_claim("flushed", at)
        self._record.clear()
        self._step = 0
        self.begin()

    def settle(self, now: float) -> None:
        at = self.news[-1].at if self.news else now
        restored = any(event.kind == "state" and event.data.get("restored") for event in self.news)
        if not restored:  # what the blob store remembers carries the tokens of its day
            self.story.trespasses += (f"At {at:.3f} {told}." for told in self._trespasses())
        self._follow_claim(at)
        self._follow_steps(restored=restored)
        self._follow_end(restored=restored)
        self.story.events += self.news

    def _trespasses(self) -> Iterator[str]:
        taken = self._written.get("claim", "")
        standing = {self._held, taken} - {""}
        holder = " and ".join(sorted(standing)) or "nobody"
        for name in _FENCED:
            key = self._written.get(name)
            if key and _token(key) not in standing:
                yield f"{_token(key)} wrote the {name} {key} while {holder} held the job"
        ender = self._written.get("ended_by")
        if ender and ender not in standing:
            yield f"{ender} ended the job while {holder} held it"
        if "progress" in self._written and "id" not in self._written and not standing:
            yield "progress was written while nobody held the job"
        if taken and self._held and taken != self._held:
            yield f"{taken} took the job while {self._held} held it"

    def _follow_claim(self, at: float) -> None:
        token = self._record.get("claim", "")
        if token == self._held:
            return
        if self._held:
            lost = any(event.kind == "lease_lost" for event in self.news)
            self._end_claim("lost" if lost else _OUTCOMES.get(self._written.get("state", ""), "lost"), at)
        if token:
            self.story.claims.append(Claim(at, token, self._record.get("worker", ""), "standing", None))
            self._going = False

    def _end_claim(self, how: How, at: float) -> None:
        self.story.claims[-1] = replace(self.story.claims[-1], how_it_ended=how, ended_at=at)

    def _follow_steps(self, *, restored: bool) -> None:
        written = self._written.get("progress")
        progress = json.loads(written) if written else None
        if not restored:
            if "resumed_from_step" in self._written:
                self._go_on_from(int(self._written["resumed_from_step"]))
            elif progress and (progress["phase"] not in _IDLE or progress["current"] != self._step):
                self._go_on_from(0)
            if key := self._written.get("checkpoint"):
                self.story.intervals.append(_step(key) - self._kept)
                self._kept = _step(key)
        if progress:
            self._step = progress["current"]
            self._highest = max(self._highest, self._step)

    def _go_on_from(self, step: int) -> None:
        if self._going:
            return
        if len(self.story.claims) > 1:
            self.story.redone.append((self.story.claims[-1].at, max(0, self._highest - step)))
        key, token = self._record.get("checkpoint"), self._record.get("claim", self._held)
        kept = _step(key) if key else 0
        own = key is not None and _token(key) == token  # its first checkpoint may come before its first word
        if not own and step < kept and not self._warned():
            told = f"{token} went on from step {step}, although the record named a checkpoint of step {kept}"
            self.story.fallen_behind.append(told)
        self._going, self._kept = True, kept if own else step

    def _warned(self) -> bool:
        """Whether somebody has said that a checkpoint of this job cannot be used."""
        return any(event.data.get("code") == "checkpoint_unusable" for event in (*self.story.events, *self.news))

    def _follow_end(self, *, restored: bool) -> None:
        state, result = self._written.get("state", ""), self._record.get("result", "")
        if result and result not in self.story.results:
            self.story.results.append(result)
        if state in _ENDS and not (restored and self._end == (state, result)):
            self.story.ends.append(state)
        if state in _ENDS:
            self._end = state, result


def _token(key: str) -> str:
    """jobs/ID/checkpoints/TOKEN-000012, jobs/ID/previews/TOKEN-000012.jpg, jobs/ID/results/TOKEN.png."""
    return key.rpartition("/")[2].partition(".")[0].partition("-")[0]


def _step(key: str) -> int:
    """jobs/ID/checkpoints/TOKEN-000012."""
    return int(key.rpartition("-")[2])
