"""Redis is lost after any number of writes to the blob store: the rebuilt ledger breaks none of its promises."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.tenants import of

from easel.models import TERMINAL, JobError, JobState, Progress
from shared.errors import ClaimLost, NotReady, WrongState
from shared.jobs.job import Job, JobRequest
from shared.jobs.saved_iterations import SavedIterations
from shared.ledger.ledger import NAMESPACE, connect
from shared.recovery.deletion import delete_job
from shared.recovery.job_files import finalize, withdraw_control_request, write_control_request, write_request
from shared.recovery.rebuild import rebuild_ledger
from shared.services import ensure_paired, open_services
from shared.settings import Settings
from shared.storage import MemoryBlobStore, keys
from worker.devices.memory import WorkerMemory
from worker.job.session import JobSession

ANY_MEMORY = WorkerMemory("host", 0)


class CrashError(Exception):
    """All processes have ended."""


class CrashingStore(MemoryBlobStore):
    """Allows some writes and deletions, then crashes: before the next one, or directly after the last one."""

    def __init__(self, writes: int, *, after_last: bool) -> None:
        super().__init__()
        self.writes_left, self._after_last = 10**9, after_last
        self._limit = writes

    def start_counting(self) -> None:
        self.writes_left = self._limit

    def stop_counting(self) -> None:
        self.writes_left = 10**9

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        self._before_write()
        super().put(key, *parts, content_type=content_type)
        self._after_write()

    def delete(self, key: str) -> None:
        self._before_write()
        super().delete(key)
        self._after_write()

    def _before_write(self) -> None:
        if not self.writes_left:
            raise CrashError
        self.writes_left -= 1

    def _after_write(self) -> None:
        if self._after_last and not self.writes_left:
            raise CrashError


class Installation:
    """API, workers and reaper do their actions one after another; what clients were told is noted."""

    def __init__(self, redis_url: str, blobs: CrashingStore) -> None:
        connect(redis_url).flushall()
        opened = open_services(Settings(redis_url=redis_url, store_url=Path("/nowhere").as_uri()))
        self.services, self.blobs = replace(opened, blobs=blobs), blobs
        self.ledger, self.sessions = self.services.ledger, list[JobSession]()
        self.requests: list[JobRequest] = []  # accepted: their clients got a 202
        self.ending: set[str] = set()  # may have ended
        self.deleting: set[str] = set()  # may be deleted
        self.deleted: set[str] = set()
        assert ensure_paired(self.services)
        blobs.start_counting()

    def submit(self, tenant: str, key: str | None) -> None:
        request = of(tenant).model_copy(update={"created_at": time.time(), "idempotency_key": key})
        write_request(self.blobs, request)
        if self.ledger.submit(request, queue_limit=99, remember_seconds=600)[1]:
            self.requests.append(request)
        else:
            self.blobs.delete(keys.request(request.id))

    def claim(self) -> None:
        if session := JobSession.claim_next(self.services, "w", ANY_MEMORY):
            self.sessions.append(session)

    def save(self, number: int, step: int) -> None:
        """Save an iteration, a preview, and a checkpoint."""
        if not (session := self._session(number)):
            return
        job = self.ledger.get(session.job.id)
        png = b"image after %d steps" % step
        saved = job.iterations.with_image(step, png)
        session.write(saved.key(job.id, step), png, "image/png")
        session.renew(iterations=saved)
        for field, key in (("preview", keys.preview), ("checkpoint", keys.checkpoint)):
            key_of_step = key(job.id, session.token, step)
            session.write(key_of_step, b"bytes", "image/jpeg")
            session.renew(**{field: key_of_step}, progress=Progress(current=step, total=9, percentage=11 * step))

    def end(self, number: int, state: JobState) -> None:
        if not (session := self._session(number)):
            return
        self.ending.add(session.job.id)
        result = keys.result(session.job.id, session.token) if state is JobState.SUCCEEDED else None
        if result:
            session.write(keys.provenance(result), b"{}", "application/json")
            session.write(result, b"image", "image/png")
        error = JobError(code="diverged", detail="") if state is JobState.FAILED else None
        session.end_job(state, result=result, error=error)
        session.finalize()

    def return_job(self, number: int, how: Literal["head", "tail", "lost"]) -> None:
        if not (session := self._session(number)):
            return
        if how == "lost":
            self.ledger.take_back(session.job.id, session.token)
        else:
            self.ledger.release(session._claim, place=how)

    def request_control(self, number: int, action: Literal["cancel", "finish"]) -> None:
        if not (request := self._request(number)):
            return
        if action == "cancel":
            self.ending.add(request.id)
        try:
            if self.ledger.get(request.id).state not in TERMINAL:
                write_control_request(self.blobs, request.id, action)
            self.ledger.request_control(request.id, action)
        except (WrongState, NotReady):
            withdraw_control_request(self.ledger, self.blobs, request.id)

    def finalize(self) -> None:
        for job_id in self.ledger.list_unfinalized_ids(older_than_seconds=-1):
            finalize(self.ledger, self.blobs, job_id)

    def delete(self, number: int) -> None:
        if (request := self._request(number)) and self.ledger.get(request.id).state in TERMINAL:
            self.deleting.add(request.id)
            delete_job(self.services, request.id)
            self.deleted.add(request.id)

    def _session(self, number: int) -> JobSession | None:
        """Return a session that holds its claim."""
        held = [s for s in self.sessions if self.ledger.exists(s.job.id)]
        held = [s for s in held if self.ledger.get(s.job.id).claim == s.token]
        return held[number % len(held)] if held else None

    def _request(self, number: int) -> JobRequest | None:
        left = [request for request in self.requests if request.id not in self.deleted]
        return left[number % len(left)] if left else None


NUMBERS, STEPS = st.integers(0, 5), st.integers(1, 9)
ACTIONS = st.one_of(
    st.tuples(st.just("submit"), st.sampled_from("ab"), st.sampled_from((None, "k"))),
    st.tuples(st.just("claim")),
    st.tuples(st.just("claim")),
    st.tuples(st.just("save"), NUMBERS, STEPS),
    st.tuples(st.just("end"), NUMBERS, st.sampled_from(sorted(TERMINAL - {JobState.CANCELED}))),
    st.tuples(st.just("return_job"), NUMBERS, st.sampled_from(("head", "tail", "lost"))),
    st.tuples(st.just("request_control"), NUMBERS, st.sampled_from(("cancel", "finish"))),
    st.tuples(st.just("finalize")),
    st.tuples(st.just("delete"), NUMBERS),
)


@given(actions=st.lists(ACTIONS, min_size=15, max_size=40), writes=st.integers(0, 80), after_last=st.booleans())
@settings(
    max_examples=int(os.environ.get("EXAMPLES", "60")),
    derandomize="EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.timeout(0 if "EXAMPLES" in os.environ else 300)
def test_a_rebuilt_ledger_has_all_that_clients_were_told(
    actions: list[tuple[Any, ...]],
    writes: int,
    after_last: bool,  # noqa: FBT001 - hypothesis passes it by name
    valkey_url: str,
) -> None:
    store = CrashingStore(writes, after_last=after_last)
    before = Installation(valkey_url, store)
    try:
        before.submit("a", None)
        before.submit("b", None)
        for name, *arguments in actions:
            getattr(before, name)(*arguments)
    except CrashError:
        pass
    known = {job.id: job for job in before.ledger.list(limit=1000)}  # what clients could see last
    store.stop_counting()
    connect(valkey_url).flushall()
    rebuild_ledger(before.services)
    assert ensure_paired(before.services)
    assert rebuild_ledger(before.services) == 0

    rebuilt = {job.id: job for job in before.ledger.list(limit=1000)}
    check_promises(before, known, rebuilt)
    check_visible_files(store, rebuilt)
    check_that_the_rest_runs_once(before, rebuilt, valkey_url)


def check_promises(before: Installation, known: dict[str, Job], rebuilt: dict[str, Job]) -> None:
    accepted = {request.id: request for request in before.requests}
    assert accepted.keys() - before.deleting <= rebuilt.keys()
    assert not before.deleted & rebuilt.keys()
    for job in rebuilt.values():
        assert job.state is not JobState.RUNNING
        assert job.id not in accepted or job.request == accepted[job.id]
        if job.id in known and known[job.id].state in TERMINAL:
            assert (job.state, job.result, job.error) == (
                known[job.id].state,
                known[job.id].result,
                known[job.id].error,
            )
            assert job.iterations == known[job.id].iterations
        elif job.id not in before.ending:
            assert job.state is JobState.QUEUED
            assert job.iterations.steps >= (known[job.id].iterations.steps if job.id in known else [])
    for tenant in "ab":
        listed = set(before.ledger.list_ids(tenant=tenant, limit=1000))
        assert listed == {job.id for job in rebuilt.values() if job.tenant == tenant}
        first = next((r for r in before.requests if r.tenant == tenant and r.idempotency_key), None)
        if first and first.id not in before.deleting:
            assert before.ledger.find_by_idempotency_key("k", tenant) == ("d", first.id)


def check_visible_files(store: MemoryBlobStore, rebuilt: dict[str, Job]) -> None:
    for job in rebuilt.values():
        assert (job.result is not None) == (job.state is JobState.SUCCEEDED)
        visible = [job.result, job.preview, *(job.iterations.key(job.id, step) for step in job.iterations.steps)]
        if job.state is JobState.QUEUED:
            visible += [job.checkpoint, job.previous_checkpoint]
        assert [key for key in visible if key and not store.exists(key)] == []


def check_that_the_rest_runs_once(before: Installation, rebuilt: dict[str, Job], valkey_url: str) -> None:
    stale, before.sessions = before.sessions, []
    waiting = {job.id for job in rebuilt.values() if job.state is JobState.QUEUED}
    assert set(connect(valkey_url).zrange(f"{NAMESPACE}:queue:standard", 0, -1)) == waiting  # type: ignore[arg-type]
    for _ in range(len(waiting) + 1):
        before.claim()
    assert sorted(session.job.id for session in before.sessions) == sorted(waiting)
    for session in stale:
        with pytest.raises(ClaimLost):
            session.renew(iterations=SavedIterations())
    for session in before.sessions:
        session.end_job(JobState.SUCCEEDED, result=keys.result(session.job.id, session.token))
    ended = before.ledger.list(limit=1000)
    assert all(job.state in TERMINAL for job in ended)
    assert sorted(job.id for job in ended) == sorted(rebuilt)
