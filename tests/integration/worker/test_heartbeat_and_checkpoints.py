"""The threads next to the loop: heartbeat, checkpoint writer and registration; and the timing of the loop."""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from chaos.stack.engine import SleepIterate
from support.fixtures.worker import WorkerRig

from easel.models import Losses
from shared.jobs.events import StoredEvent
from shared.jobs.run_history import RunRecord
from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services
from shared.settings import Settings
from worker.devices.memory import WorkerMemory
from worker.job import heartbeat, progress
from worker.job.checkpoints import CheckpointWriter
from worker.job.heartbeat import Heartbeat
from worker.job.progress import ProgressTracker
from worker.job.session import JobSession
from worker.protocols import Iterate
from worker.registration import Registration

IMAGE = np.zeros((36, 48, 3), np.uint32)
ITERATE = SleepIterate(1, 40, IMAGE, IMAGE)


class TooLargeIterate(SleepIterate):
    """An iterate whose state does not fit into memory."""

    def state(self) -> dict[str, object]:
        raise MemoryError("no room for the state")


@pytest.fixture
def services(tmp_path: Path, valkey_url: str, random_weights: Path) -> Services:
    rig = WorkerRig(tmp_path, valkey_url, random_weights)
    rig.submit(steps=40)
    return rig.services


def claim_next(services: Services, settings: Settings | None = None) -> JobSession:
    changed = Services(**{**vars(services), "settings": settings or services.settings})
    session = JobSession.claim_next(changed, "one", WorkerMemory("host", 0))
    assert session
    return session


def next_events(services: Services, job_id: str, last: str, *, seconds: int = 30) -> list[StoredEvent]:
    """Return the events after `last`, as soon as there is one; none after `seconds`."""
    for _ in range(seconds):  # one wait must be shorter than the client's timeout
        if events := services.events.wait({job_id: last}, seconds=1).get(job_id):
            return events
    return []


def test_the_first_step_is_reported_immediately(services: Services) -> None:
    session = claim_next(services, services.settings.model_copy(update={"heartbeat_seconds": 3600}))
    with Heartbeat(session) as heartbeat:
        last = services.events.last_id(session.job.id)
        next(heartbeat.record_steps(iter([ITERATE])))
        (event, *_) = next_events(services, session.job.id, last)
    assert (event.kind, event.data["progress"]["current"]) == ("progress", 1)


class Clock:
    """Replaces the module `time`, and advances only when the test says so."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class StepInfo:
    """The part of an iterate that progress and timing depend on."""

    step: int
    phase: str
    losses: Losses | None = None
    step_backoffs: int = 0
    image: np.ndarray = field(default_factory=lambda: IMAGE)

    @property
    def fraction(self) -> float:
        return self.step / 40


class MeasuredRun:
    """A run of 40 steps whose seconds a test determines."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        job, self.clock = claim_next(services).job, Clock()
        monkeypatch.setattr(progress, "time", self.clock)
        self.tracker = ProgressTracker(job)

    def run(self, seconds: Callable[[int], float], *, pause: float = 0, phases: int = 2) -> RunRecord:
        """Do each step in so many seconds, in equal phases, with a pause after each; return the timing."""
        for step in range(41):
            self.clock.now += seconds(step)
            phase = f"phase {max(0, step - 1) * phases // 40}"
            self.tracker.add(cast("Iterate", StepInfo(step, phase)), seconds(step))
            self.clock.now += pause
        self.tracker.stop()
        self.clock.now += 3
        record = self.tracker.run_record("cpu:2")
        assert record is not None
        return record


@pytest.fixture
def measured(services: Services, monkeypatch: pytest.MonkeyPatch) -> MeasuredRun:
    return MeasuredRun(services, monkeypatch)


def test_the_time_to_start_a_stage_is_not_part_of_the_speed(measured: MeasuredRun) -> None:
    record = measured.run(lambda step: 51 if step in {0, 21} else 1)  # the first steps of the stages
    assert measured.tracker.fields["fraction_per_second"] == pytest.approx(1 / 40)
    assert measured.tracker.fields["steps_per_second"] == pytest.approx(1)
    assert record.start_seconds == pytest.approx(51 + 50)
    assert record.end_seconds == pytest.approx(3)
    assert record.drift == pytest.approx(0, abs=1e-9)


def test_the_time_to_learn_weights_is_not_part_of_the_start(measured: MeasuredRun) -> None:
    measured.clock.now += 2
    with measured.tracker.loading_weights():
        measured.clock.now += 30
    assert measured.run(lambda _: 1, phases=1).start_seconds == pytest.approx(2 + 1)


def test_the_time_to_save_iterations_is_not_part_of_the_speed_or_the_end(measured: MeasuredRun) -> None:
    record = measured.run(lambda _: 1, pause=5)
    assert measured.tracker.fields["fraction_per_second"] == pytest.approx(1 / 40)
    assert record.start_seconds == pytest.approx(1)
    assert record.end_seconds == pytest.approx(3)
    assert record.drift == pytest.approx(0, abs=1e-9)
    assert measured.tracker.seconds == pytest.approx(41 * 6 + 3), "a time slice and the job's metrics count it"


def test_a_run_that_grows_slower_has_a_drift(measured: MeasuredRun) -> None:
    assert measured.run(lambda step: 1 if step <= 20 else 2, phases=1).drift == pytest.approx(-math.log(2))


def test_preparation_is_reported_immediately_and_only_when_it_changes(services: Services) -> None:
    session = claim_next(services, services.settings.model_copy(update={"heartbeat_seconds": 3600}))
    phases = []
    with Heartbeat(session) as heartbeat:
        last = services.events.last_id(session.job.id)
        for fraction, seconds in ((0, 30), (0.25, 30), (0.25, 1), (0.5, 30)):  # the repetition has no event
            heartbeat.record_preparation("learning filters", fraction)
            for event in next_events(services, session.job.id, last, seconds=seconds):
                last = event.id
                phases.append(event.data["progress"]["phase"])
    assert phases == ["learning filters, once", "learning filters, once, 25 %", "learning filters, once, 50 %"]
    assert services.ledger.get(session.job.id).progress.phase == phases[-1]


def test_a_drain_has_its_whole_time_however_long_ago_the_last_beat_was(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    exits: list[int] = []
    monkeypatch.setattr(heartbeat, "time", clock := Clock())
    monkeypatch.setattr(os, "_exit", exits.append)
    session = claim_next(services)
    beat = Heartbeat(session)
    clock.now += 60
    session.drain.set()
    beat._exit_if_drain_timed_out()
    clock.now += 8
    beat._exit_if_drain_timed_out()
    assert exits == []
    clock.now += 2
    beat._exit_if_drain_timed_out()
    assert exits == [os.EX_TEMPFAIL]


def test_a_checkpoint_that_does_not_fit_into_memory_stops_the_loop(services: Services) -> None:
    with CheckpointWriter(claim_next(services), resumed_from=None, metadata={}) as writer:
        with pytest.raises(MemoryError, match="no room"):
            writer.write_checkpoint(TooLargeIterate(1, 40, IMAGE, IMAGE))
        writer._checkpoint_due = 0.0
        writer.offer(TooLargeIterate(1, 40, IMAGE, IMAGE))
        writer._writes.join()
        with pytest.raises(MemoryError, match="no room"):
            writer.offer(ITERATE)


def test_a_new_process_keeps_the_speed_measured_by_its_predecessor(services: Services) -> None:
    predecessor = WorkerInfo(
        name="one",
        device="cpu:2",
        weights="path 00000000",
        tiers=services.settings.tiers,
        pixels_per_second=1234.5,
        seen_at=time.time(),
    )
    services.queue_stats.register_worker(predecessor)
    registration = Registration(services.queue_stats, "one", services.settings.tiers, WorkerMemory("host", 1)).start()
    registration.update(device="cpu:4")
    try:
        while (worker := services.queue_stats.workers()[0]).device != "cpu:4":
            assert time.time() < predecessor.seen_at + 60
    finally:
        registration.stop()
    assert worker.pixels_per_second == predecessor.pixels_per_second
