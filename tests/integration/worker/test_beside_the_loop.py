"""What runs beside the loop: the scribe that writes, the heartbeat that tells, the line on the board."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from chaos.engine import Dream
from support.fixtures.worker import Rig

from shared.ledger.queue_stats import WorkerInfo
from shared.services import Services
from worker.devices.memory import WorkerMemory
from worker.job import heartbeat
from worker.job.checkpoints import Scribe
from worker.job.heartbeat import Heartbeat
from worker.protocols import Frame
from worker.registration import Presence

CANVAS = np.zeros((36, 48, 3), np.uint32)
FRAME = Dream(1, 40, CANVAS, CANVAS)


class Exhausted(Dream):
    """A frame whose state nobody has the memory to copy."""

    def state(self) -> dict[str, object]:
        raise MemoryError("no room for the state")


@pytest.fixture
def services(tmp_path: Path, valkey_url: str, random_weights: Path) -> Services:
    rig = Rig(tmp_path, valkey_url, random_weights)
    rig.submit(steps=40)
    return rig.services


def test_the_first_picture_is_told_at_once(services: Services) -> None:
    claim = services.ledger.claim("one", services.settings.tiers, lease_seconds=60)
    assert claim
    patient = Services(
        **{**vars(services), "settings": services.settings.model_copy(update={"heartbeat_seconds": 3600})}
    )
    with Heartbeat(patient, claim, threading.Event()) as beating:
        last = services.events.last_id(claim.job.id)
        beating.note(FRAME)
        (told, *_) = services.events.wait({claim.job.id: last}, seconds=30)[claim.job.id]
    assert (told.kind, told.data["progress"]["current"]) == ("progress", 1)


class Clock:
    """In the place of `time`: it stands still until it is told."""

    now = 100.0

    def monotonic(self) -> float:
        return self.now


@dataclass(frozen=True)
class Staged:
    """A frame, as far as the heartbeat looks at one for its times."""

    step: int
    fraction: float
    phase: str


def test_what_beginning_a_stage_takes_is_told_apart_from_the_pace(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, clock = services.ledger.claim("one", services.settings.tiers, lease_seconds=60), Clock()
    assert claim
    monkeypatch.setattr(heartbeat, "time", clock)
    watched = Heartbeat(services, claim, threading.Event())
    for step in range(41):  # each half of them is a stage; to begin one takes 50 seconds more than any step
        clock.now += 51 if step in {0, 21} else 1
        watched.note(cast("Frame", Staged(step, step / 40, "small" if step <= 20 else "large")))
    clock.now += 3
    times = watched.times()
    assert times is not None
    assert times.pace == pytest.approx(1 / 40)
    assert times.start == pytest.approx(51 + 50)
    assert times.ending == pytest.approx(3)
    assert times.drift == pytest.approx(0, abs=1e-9)


def test_a_checkpoint_that_there_is_no_memory_for_stops_the_loop(services: Services) -> None:
    claim = services.ledger.claim("one", services.settings.tiers, lease_seconds=60)
    assert claim
    with Scribe(services, claim, resumed=None, note={}) as scribe:
        with pytest.raises(MemoryError, match="no room"):
            scribe.keep(Exhausted(1, 40, CANVAS, CANVAS))
        scribe._checkpoint_due = 0.0
        scribe.offer(Exhausted(1, 40, CANVAS, CANVAS))
        scribe._orders.join()
        with pytest.raises(MemoryError, match="no room"):
            scribe.offer(FRAME)


def test_a_fresh_process_keeps_the_speed_that_the_one_before_it_measured(services: Services) -> None:
    killed = WorkerInfo(
        name="one",
        device="cpu:2",
        weights="path 00000000",
        tiers=services.settings.tiers,
        pixels_per_second=1234.5,
        seen_at=time.time(),
    )
    services.queue_stats.announce(killed)
    presence = Presence(services.queue_stats, "one", services.settings.tiers, WorkerMemory("host", 1)).open()
    presence.show(device="cpu:4")
    try:
        while (told := services.queue_stats.workers()[0]).device != "cpu:4":
            assert time.time() < killed.seen_at + 60
    finally:
        presence.close()
    assert told.pixels_per_second == killed.pixels_per_second
