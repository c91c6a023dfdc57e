"""The sweep of inputs, by a clock that the test sets."""

from collections import Counter

import pytest

from shared.errors import StorageUnavailable
from shared.jobs.job import JobRequest
from shared.recipe import PRESETS
from shared.recovery.job_files import write_request
from shared.storage import MemoryBlobStore, keys
from worker.maintenance.garbage_collection import delete_unused_inputs


class Clock:
    """Of the store."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Failing(MemoryBlobStore):
    """Refuses its n-th call, and then only that one."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.calls, self.fails_at = 0, 0

    def get(self, key: str) -> bytes:
        self._count()
        return super().get(key)

    def delete(self, key: str) -> None:
        self._count()
        super().delete(key)

    def _count(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise StorageUnavailable


def store() -> Failing:
    """Old inputs, of which a job refers to two, and a young one."""
    clock = Clock()
    blobs = Failing(clock)
    for name in ("used", "painting", "orphan", "waif"):
        blobs.put(keys.input_image(name), b"old")
    write_request(blobs, request("used", "painting"))
    clock.now = 10**12
    blobs.put(keys.input_image("young"), b"new")
    return blobs


@pytest.fixture
def blobs() -> Failing:
    return store()


def request(content: str, *styles: str) -> JobRequest:
    recipe = PRESETS["fast"]
    return JobRequest(id=content, tier="t", recipe=recipe, content=content, styles=styles, created_at=0, digest="d")


def inputs(blobs: MemoryBlobStore) -> list[str]:
    return [blob.key.removeprefix("inputs/") for blob in blobs.list("inputs/")]


def swept(blobs: MemoryBlobStore) -> int:
    return Counter(delete_unused_inputs(blobs))["leftovers_deleted"]


def test_the_sweep_takes_old_inputs_that_no_job_refers_to_and_nothing_else(blobs: Failing) -> None:
    assert swept(blobs) == 2
    assert inputs(blobs) == ["painting", "used", "young"]
    assert swept(blobs) == 0


def test_a_sweep_that_is_cut_short_anywhere_takes_nothing_wrong_and_the_next_one_completes_it(blobs: Failing) -> None:
    swept(blobs)
    for number in range(1, blobs.calls + 1):
        broken = store()
        broken.fails_at = number
        with pytest.raises(StorageUnavailable):
            swept(broken)
        assert {"painting", "used", "young"} <= set(inputs(broken))
        swept(broken)
        assert inputs(broken) == ["painting", "used", "young"]


def test_an_input_written_anew_during_the_sweep_is_spared(blobs: Failing) -> None:
    steps = delete_unused_inputs(blobs)
    next(steps)  # the inputs are listed, the first request is read
    blobs.put(keys.input_image("orphan"), b"new")
    assert Counter(steps)["leftovers_deleted"] == 1
    assert inputs(blobs) == ["orphan", "painting", "used", "young"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"content": "waif", "strange": 1'])
def test_a_request_that_cannot_be_read_stops_no_sweep_and_keeps_what_it_mentions(damage: bytes, blobs: Failing) -> None:
    blobs.put(keys.request("damaged"), damage)
    swept(blobs)
    assert ("waif" in inputs(blobs)) == (b"waif" in damage)
    assert "orphan" not in inputs(blobs)
