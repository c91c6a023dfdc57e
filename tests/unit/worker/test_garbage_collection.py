"""Deletion of unused inputs, with a clock that the tests set."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from shared.errors import StorageUnavailable
from shared.inputs.sources import ImageId
from shared.inputs.uploaded import ImageRecord, UploadedImages
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


NOW, HOUR, DAY = 10.0**12, 3600, 24 * 3600


@pytest.fixture
def uploaded(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], MemoryBlobStore]:
    """Return a function that returns a store with an image uploaded two days ago, which expired so many seconds ago."""
    monkeypatch.setattr(time, "time", lambda: NOW)

    def create(expired: float) -> MemoryBlobStore:
        blobs = MemoryBlobStore(lambda: NOW - 2 * DAY)
        blobs.put(keys.input_image("photo"), b"pixels")
        record = ImageRecord(width=9, height=9, bit_depth=8, used_share=1, expires_at=NOW - expired)
        blobs.put(keys.image("acme", "photo"), record.model_dump_json().encode())
        return blobs

    return create


@pytest.mark.parametrize("expired", [-DAY, 1, HOUR - 1])
def test_an_uploaded_image_is_kept_until_an_hour_after_it_expired(
    expired: float, uploaded: Callable[[float], MemoryBlobStore]
) -> None:
    blobs = uploaded(expired)
    assert delete_unused(blobs) == 0
    assert len(list(blobs.list())) == 2


def test_each_uploaded_image_that_is_kept_is_a_part_after_which_other_work_may_run(
    uploaded: Callable[[float], MemoryBlobStore],
) -> None:
    assert list(delete_unused_inputs(uploaded(-DAY))) == [None]


def test_an_expired_image_is_deleted_with_its_record(uploaded: Callable[[float], MemoryBlobStore]) -> None:
    blobs = uploaded(HOUR + 1)
    assert delete_unused(blobs) == 2
    assert list(blobs.list()) == []


def test_a_deleted_image_is_kept_for_a_day_for_a_job_that_is_being_submitted(
    uploaded: Callable[[float], MemoryBlobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = uploaded(-HOUR)
    blobs._clock = time.time
    UploadedImages(blobs, "acme", DAY).delete(ImageId("photo"))
    assert delete_unused(blobs) == 0
    assert [blob.key for blob in blobs.list()] == ["inputs/photo"]
    monkeypatch.setattr(time, "time", lambda: NOW + DAY + 1)
    assert delete_unused(blobs) == 1


def test_an_expired_image_is_kept_for_the_job_that_refers_to_it(
    uploaded: Callable[[float], MemoryBlobStore],
) -> None:
    blobs = uploaded(HOUR + 1)
    write_request(blobs, request("photo", "photo"))
    assert delete_unused(blobs) == 1
    assert inputs(blobs) == ["photo"]


def test_an_image_that_another_tenant_uploaded_later_is_kept(uploaded: Callable[[float], MemoryBlobStore]) -> None:
    blobs = uploaded(HOUR + 1)
    record = ImageRecord(width=9, height=9, bit_depth=8, used_share=1, expires_at=NOW + 1)
    blobs.put(keys.image("other", "photo"), record.model_dump_json().encode())
    assert delete_unused(blobs) == 1
    assert [blob.key for blob in blobs.list()] == ["images/other/photo.json", "inputs/photo"]


def test_a_record_that_cannot_be_read_is_deleted(uploaded: Callable[[float], MemoryBlobStore]) -> None:
    blobs = uploaded(0)
    blobs.put(keys.image("acme", "photo"), b"{}")
    assert delete_unused(blobs) == 2


def test_an_image_uploaded_again_while_it_is_deleted_keeps_its_record(
    uploaded: Callable[[float], MemoryBlobStore],
) -> None:
    blobs = uploaded(HOUR + 1)
    blobs._clock = lambda: NOW
    read = blobs.get

    def get(key: str) -> bytes:
        data = read(key)
        blobs.put(key, data)
        blobs.put(keys.input_image("photo"), b"pixels")
        return data

    blobs.get = get  # type: ignore[method-assign]
    assert delete_unused(blobs) == 0
    assert len(list(blobs.list())) == 2
