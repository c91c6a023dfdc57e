"""What is left of each job when all is over: the crowd's notes, the record, the blobs and the ledger's history."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from chaos import engine, history
from chaos.crowd import Accepted
from chaos.notes import Notes, Pulse
from chaos.pictures import PAINTED, pixels
from chaos.story import Story
from chaos.world import World
from shared.errors import BlobMissing, JobNotFound
from shared.jobs.job import Job
from shared.storage import BlobStore, keys


@dataclass(frozen=True)
class Case:
    """One accepted job."""

    known: Accepted
    job: Job | None  # None where the ledger knows of no such job
    story: Story
    blobs: BlobStore
    painted: Mapping[str, list[str]]  # the undisturbed TensorFlow pictures' sha256 by step

    @property
    def name(self) -> str:
        """For people."""
        order = self.known.order
        return f"{self.known.id} ({order.painting or order.kind.name.lower()}, {order.fate})"

    def rebuilt(self, began: float, ended: float) -> bool:
        """Whether its record was restored in that time, after a loss of Redis."""
        return any(event.data.get("restored") for event in self.story.states if began <= event.at <= ended)

    @cached_property
    def picture(self) -> str | None:
        """sha256 of the published result."""
        if self.job is None or self.job.result is None:
            return None
        try:
            return hashlib.sha256(self.blobs.get(self.job.result)).hexdigest()
        except BlobMissing:
            return "missing"

    @cached_property
    def undisturbed(self) -> str | None:
        """sha256 of the picture of the same step in a run without faults."""
        if self.job is None or self.job.stopped_at_step is None:
            return None
        request, step = self.job.request, self.job.stopped_at_step
        if self.known.order.painting:
            return self.painted[self.known.order.painting][step]
        content, *styles = (pixels(self.blobs.get(keys.input_image(sha))) for sha in (request.content, *request.styles))
        return engine.reference(content, styles, request.recipe, step)


@dataclass(frozen=True)
class Evidence:
    """Of one world."""

    store: str
    cases: list[Case]
    notes: Notes
    pulse: Pulse
    due: Sequence[str]  # faults that were to come about
    strangers: int  # jobs that were painted although nobody was told that they were accepted


def gather(world: World, accepted: Mapping[str, Accepted], due: Sequence[str]) -> Evidence:
    """While the world still runs, and nothing in it moves any more."""
    stories = history.read(world.folder / "valkey")
    painted = json.loads((world.cast.paintings / PAINTED).read_text()) if world.cast.paintings else {}
    cases = [
        Case(known, _record(world, job_id), stories.get(job_id) or Story(job_id), world.store.blobs, painted)
        for job_id, known in accepted.items()
    ]
    for case in cases:  # the blobs will be gone with the world
        if case.picture:
            _ = case.undisturbed
    strangers = sum(bool(story.claims) for job_id, story in stories.items() if job_id not in accepted)
    return Evidence(world.cast.store, cases, world.notes, world.pulse, due, strangers)


def _record(world: World, job_id: str) -> Job | None:
    try:
        return world.services.ledger.get(job_id)
    except JobNotFound:
        return None
