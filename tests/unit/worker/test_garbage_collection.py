"""Deletion of unused inputs, with a clock that the tests set."""

from collections import Counter

import pytest

from shared.errors import StorageUnavailable
from shared.jobs.job import JobRequest
from shared.presets import PRESETS
from shared.recovery.job_files import write_request
from shared.storage import MemoryBlobStore, keys
from worker.maintenance.garbage_collection import delete_unused_inputs


class Clock:
    """The blob store's clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class FailingStore(MemoryBlobStore):
    """Raises StorageUnavailable at call number `fails_at` only."""

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


def create_store() -> FailingStore:
    """Return a store with old inputs, two of which a job refers to, and a recent one."""
    clock = Clock()
    blobs = FailingStore(clock)
    for name in ("used", "painting", "orphan", "unreferenced"):
        blobs.put(keys.input_image(name), b"old")
    write_request(blobs, request("used", "painting"))
    clock.now = 10**12
    blobs.put(keys.input_image("recent"), b"new")
    return blobs


@pytest.fixture
def blobs() -> FailingStore:
    return create_store()


def request(content: str, *styles: str) -> JobRequest:
    recipe = PRESETS["fast"]
    return JobRequest(id=content, tier="t", recipe=recipe, content=content, styles=styles, created_at=0, digest="d")


def inputs(blobs: MemoryBlobStore) -> list[str]:
    return [blob.key.removeprefix("inputs/") for blob in blobs.list("inputs/")]


def delete_unused(blobs: MemoryBlobStore) -> int:
    return Counter(delete_unused_inputs(blobs))["leftovers_deleted"]


def test_only_old_inputs_that_no_job_refers_to_are_deleted(blobs: FailingStore) -> None:
    assert delete_unused(blobs) == 2
    assert inputs(blobs) == ["painting", "recent", "used"]
    assert delete_unused(blobs) == 0


def test_an_interrupted_run_deletes_nothing_wrong_and_the_next_one_completes_it(blobs: FailingStore) -> None:
    delete_unused(blobs)
    for number in range(1, blobs.calls + 1):
        failing = create_store()
        failing.fails_at = number
        with pytest.raises(StorageUnavailable):
            delete_unused(failing)
        assert {"painting", "recent", "used"} <= set(inputs(failing))
        delete_unused(failing)
        assert inputs(failing) == ["painting", "recent", "used"]


def test_an_input_written_again_during_the_run_is_kept(blobs: FailingStore) -> None:
    effects = delete_unused_inputs(blobs)
    next(effects)  # the inputs are listed, the first request is read
    blobs.put(keys.input_image("orphan"), b"new")
    assert Counter(effects)["leftovers_deleted"] == 1
    assert inputs(blobs) == ["orphan", "painting", "recent", "used"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"content": "unreferenced", "strange": 1'])
def test_an_unreadable_request_keeps_the_inputs_it_mentions(damage: bytes, blobs: FailingStore) -> None:
    blobs.put(keys.request("damaged"), damage)
    delete_unused(blobs)
    assert ("unreferenced" in inputs(blobs)) == (b"unreferenced" in damage)
    assert "orphan" not in inputs(blobs)
