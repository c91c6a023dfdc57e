"""The history of one job: its events, claims and final states, and every write that should not have happened."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["succeeded", "failed", "canceled", "queued", "lost", "flushed", "active"]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's stream."""

    at: float
    kind: str
    payload: bytes
    """JSON, parsed on demand: a long run has millions of events."""

    @property
    def data(self) -> dict[str, Any]:
        """The parsed payload."""
        data: dict[str, Any] = json.loads(self.payload)
        return data


@dataclass(frozen=True)
class Claim:
    """A worker's claim on a job; the outcome "queued" means released, "active" that it has not ended."""

    at: float
    token: str
    worker: str
    outcome: Outcome
    ended_at: float | None


@dataclass
class JobHistory:
    """Everything that happened to one job, across all losses of the ledger's data."""

    id: str
    events: list[Event] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Each final state entered. A final state that is restored after a loss does not count again."""
    results: list[str] = field(default_factory=list)
    """The distinct blob keys that were ever visible as its result."""
    stale_writes: list[str] = field(default_factory=list)
    """A message for each write by a worker that did not hold the claim at that moment."""
    deleted: bool = False
    redone: list[tuple[float, int]] = field(default_factory=list)
    """For each claim after the first that did a step: when it was made, and how many steps it repeated."""
    outdated_resumes: list[str] = field(default_factory=list)
    """A message for each claim that resumed from an earlier step than the record's newest checkpoint."""
    intervals: list[int] = field(default_factory=list)
    """Steps from each checkpoint, or from where its claim began, to the next checkpoint."""

    @property
    def states(self) -> list[Event]:
        """The events for changes of state."""
        return [event for event in self.events if event.kind == "state"]

    def first(self, kind: str) -> float | None:
        """Return the time of the first event of this kind."""
        return next((event.at for event in self.events if event.kind == kind), None)

    def requeued_after(self, at: float) -> float | None:
        """Return when the job was next queued or ended: `at` itself if it did not run then, None for never."""
        states = [(event.at, event.data["state"]) for event in self.states]
        before = [state for when, state in states if when <= at]
        if before and before[-1] != "running":
            return at
        return next((when for when, state in states if when > at and state != "running"), None)
