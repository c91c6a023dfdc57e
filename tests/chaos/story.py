"""What happened to one job: the events, the claims, the ends, and who wrote what he should not have."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

How = Literal["succeeded", "failed", "canceled", "queued", "lost", "flushed", "standing"]


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a job's stream."""

    at: float
    kind: str
    said: bytes
    """JSON, read only when asked for: a long run has millions of these."""

    @property
    def data(self) -> dict[str, Any]:
        """What the event says."""
        found: dict[str, Any] = json.loads(self.said)
        return found


@dataclass(frozen=True)
class Claim:
    """A worker's hold on a job; "queued" means given back, "standing" that it holds to this day."""

    at: float
    token: str
    worker: str
    how_it_ended: How
    ended_at: float | None


@dataclass
class Story:
    """All that ever happened to one job, over any number of losses of the ledger's memory."""

    id: str
    events: list[Event] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Each final state entered; one restored as it was is no second end."""
    results: list[str] = field(default_factory=list)
    """The distinct keys that were ever visible as its result."""
    trespasses: list[str] = field(default_factory=list)
    """A sentence for each write by somebody who did not hold the job at that moment."""
    deleted: bool = False
    redone: list[tuple[float, int]] = field(default_factory=list)
    """For each claim after the first that painted: when it was made, and the steps it did that had been done."""
    fallen_behind: list[str] = field(default_factory=list)
    """A sentence for each claim that went on from less than the newest checkpoint in the record."""
    intervals: list[int] = field(default_factory=list)
    """Steps from each checkpoint, or from where its holder began, to its next."""

    @property
    def states(self) -> list[Event]:
        """The events that tell of a new state."""
        return [event for event in self.events if event.kind == "state"]

    def first(self, kind: str) -> float | None:
        """When an event of this kind came first."""
        return next((event.at for event in self.events if event.kind == kind), None)

    def requeued_after(self, at: float) -> float | None:
        """When the job was next queued or ended, which is `at` itself where it did not run then; None for never."""
        states = [(event.at, event.data["state"]) for event in self.states]
        before = [state for when, state in states if when <= at]
        if before and before[-1] != "running":
            return at
        return next((when for when, state in states if when > at and state != "running"), None)
