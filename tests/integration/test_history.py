"""The audit of the append-only file, over real acts on a real Valkey, honest ones and others."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uuid_utils
from chaos import history
from chaos.history import Event, Story
from fixtures_valkey import Valkey

from shared import database, keys
from shared.errors import ClaimLost
from shared.job import EVENTS, JobError, JobState, Progress, Request, Webhook
from shared.ledger import NAMESPACE, Claim, Ledger, connect
from shared.outbox import Delivery, Outbox
from shared.recipe import PRESETS

EXHAUSTED = JobError(code="attempts_exhausted", detail="gone")
LEASE = 60.0


class Scene:
    """A ledger with a history, and who acts in it."""

    def __init__(self, folder: Path, valkey: Valkey) -> None:
        self.folder, self.valkey = folder, valkey
        self.redis: Any = connect(valkey.url, timeout=30)
        self.ledger = Ledger(self.redis)
        self.ledger.adopt("test")

    def submit(self) -> Request:
        wanted = Request(
            id=str(uuid_utils.uuid7()),
            tier="standard",
            recipe=PRESETS["fast"],
            content="c",
            styles=("s",),
            created_at=1.0,
            digest="d",
            webhook=Webhook(url="https://example.com", events=EVENTS),
        )
        self.ledger.submit(wanted, queue_limit=9, remember_seconds=60)
        return wanted

    def claim(self, worker: str = "w", lease: float = LEASE) -> Claim:
        found = self.ledger.claim(worker, ("standard",), lease_seconds=lease)
        assert found is not None
        return found

    def renew(self, claim: Claim, **fields: Any) -> None:
        self.ledger.renew(claim, lease_seconds=LEASE, **fields)

    def paint(self, claim: Claim, step: int) -> None:
        self.renew(claim, event=("progress", {"step": step}), progress=progress(step))

    def keep(self, claim: Claim, step: int) -> None:
        self.renew(claim, checkpoint=keys.checkpoint(claim.job.id, claim.token, step), attempts=0)

    def finish(self, claim: Claim, state: JobState = JobState.SUCCEEDED) -> str:
        key = keys.result(claim.job.id, claim.token)
        self.ledger.finish(claim, state, progress=progress(55, "done"), result=key)
        return key

    def lose(self, claim: Claim) -> None:
        self.redis.zadd(f"{NAMESPACE}:leases", {claim.job.id: 0})
        self.reap()

    def reap(self, limit: int = 3) -> None:
        self.ledger.reap(attempts_limit=limit, exhausted=EXHAUSTED)

    def tell(self, *, gone: bool) -> None:
        """Take one event out of the outbox, and write down that its receiver had or refused it."""
        outbox = Outbox(self.redis)
        letter = outbox.take(lease_seconds=LEASE)
        assert letter is not None
        outbox.settle(letter, Delivery(id=letter.id, event=letter.event, attempt=1, at=0), pause=None, gone=gone)

    def put(self, job_id: str, **fields: str) -> None:
        self.redis.hset(f"{NAMESPACE}:job:{job_id}", mapping=fields)

    def stories(self) -> dict[str, Story]:
        return history.read(self.folder)

    def story(self) -> Story:
        (only,) = self.stories().values()
        return only


def progress(step: int, phase: str = "160 px") -> Progress:
    return Progress(phase=phase, current=step, total=55)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    always = ("--appendonly", "yes", "--appendfsync", "always", "--auto-aof-rewrite-percentage", "0")
    valkey = Valkey(tmp_path, *always)
    valkey.start()
    scene = Scene(tmp_path, valkey)
    yield scene
    scene.redis.close()
    valkey.stop()


@pytest.fixture
def broken_fence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger for which whoever comes holds the job."""
    whole, holds = database._lua, "return token ~= '' and get(id, 'claim') == token"
    assert holds in whole("common")
    monkeypatch.setattr(database, "_lua", lambda act: whole(act).replace(holds, "return token ~= ''"))
    return Ledger(scene.redis)


def hows(story: Story) -> list[str]:
    return [claim.how_it_ended for claim in story.claims]


def test_an_ordinary_life_is_told_as_it_was(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim("ann")
    scene.paint(first, 7)
    scene.ledger.release(first, place="tail")
    second = scene.claim("bob")
    key = scene.finish(second)
    story = scene.story()
    assert story.id == job.id
    assert [event.data["state"] for event in story.events if event.kind == "state"] == [
        "queued",
        "running",
        "queued",
        "running",
        "succeeded",
    ]
    assert [(claim.token, claim.worker) for claim in story.claims] == [(first.token, "ann"), (second.token, "bob")]
    assert hows(story) == ["queued", "succeeded"]
    assert (story.ends, story.results, story.trespasses, story.deleted) == (["succeeded"], [key], [], False)


def test_what_is_told_to_webhooks_is_no_part_of_the_history(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.tell(gone=False)
    scene.finish(claim)
    before = scene.story()
    scene.tell(gone=True)
    assert scene.ledger.get(claim.job.id).webhook_disabled
    story = scene.story()
    assert (story.ends, story.claims, story.trespasses) == (["succeeded"], before.claims, [])


def test_times_are_those_of_the_server(scene: Scene) -> None:
    seconds, micros = scene.redis.time()
    scene.submit()
    scene.finish(scene.claim())
    after = scene.redis.time()
    (claim,) = scene.story().claims
    assert claim.ended_at is not None
    assert seconds + micros / 1e6 - 0.001 <= claim.at <= claim.ended_at <= after[0] + after[1] / 1e6


def test_a_job_in_hand_has_a_standing_claim_and_no_end(scene: Scene) -> None:
    scene.submit()
    scene.claim()
    story = scene.story()
    assert (hows(story), story.ends, story.claims[0].ended_at) == (["standing"], [], None)


def test_each_end_is_told_by_its_name(scene: Scene) -> None:
    waiting = scene.submit()
    scene.ledger.steer(waiting.id, "cancel")
    failing = scene.submit()
    scene.finish(scene.claim(), JobState.FAILED)
    poison = scene.submit()
    scene.redis.zadd(f"{NAMESPACE}:leases", {scene.claim().job.id: 0})
    scene.reap(limit=1)
    stopped = scene.submit()
    held = scene.claim()
    scene.ledger.steer(stopped.id, "cancel")
    scene.lose(held)
    told = {job_id: (story.ends, hows(story)) for job_id, story in scene.stories().items()}
    assert told == {
        waiting.id: (["canceled"], []),
        failing.id: (["failed"], ["failed"]),
        poison.id: (["failed"], ["lost"]),
        stopped.id: (["canceled"], ["lost"]),
    }


def test_a_deleted_job_is_remembered_as_deleted(scene: Scene) -> None:
    job = scene.submit()
    scene.finish(scene.claim())
    scene.ledger.delete(job.id)
    story = scene.story()
    assert (story.deleted, story.ends, story.trespasses) == (True, ["succeeded"], [])


def test_a_fenced_zombie_is_no_trespasser(scene: Scene) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.keep(zombie, 5)
    scene.lose(zombie)
    heir = scene.claim("heir")
    scene.renew(heir, resumed_from_step=5)
    for act in (scene.finish, lambda claim: scene.keep(claim, 9)):
        with pytest.raises(ClaimLost):
            act(zombie)
    older = keys.checkpoint(zombie.job.id, zombie.token, 5)
    scene.renew(heir, checkpoint=keys.checkpoint(heir.job.id, heir.token, 9), previous_checkpoint=older)
    key = scene.finish(heir)
    story = scene.story()
    assert hows(story) == ["lost", "succeeded"]
    assert (story.results, story.trespasses) == ([key], [])


def test_a_release_may_write_what_its_own_claim_kept(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.ledger.release(
        claim, place="head", progress=progress(3), checkpoint=keys.checkpoint(claim.job.id, claim.token, 3)
    )
    assert scene.story().trespasses == []


def test_behind_a_broken_fence_a_zombies_checkpoint_is_a_trespass(scene: Scene, broken_fence: Ledger) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.lose(zombie)
    heir = scene.claim("heir")
    key = keys.checkpoint(zombie.job.id, zombie.token, 9)
    broken_fence.renew(zombie, lease_seconds=LEASE, checkpoint=key)
    (told,) = scene.story().trespasses
    assert f"{zombie.token} wrote the checkpoint {key} while {heir.token} held the job" in told


def test_behind_a_broken_fence_a_zombies_progress_into_the_line_is_a_trespass(
    scene: Scene, broken_fence: Ledger
) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.lose(zombie)
    broken_fence.renew(zombie, lease_seconds=LEASE, progress=progress(9))
    (told,) = scene.story().trespasses
    assert "progress was written while nobody held the job" in told


def test_behind_a_broken_fence_a_zombies_end_is_a_trespass_and_a_second_result(
    scene: Scene, broken_fence: Ledger
) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.lose(zombie)
    heir = scene.claim("heir")
    late = keys.result(zombie.job.id, zombie.token)
    broken_fence.finish(zombie, JobState.SUCCEEDED, result=late)
    early = keys.result(heir.job.id, heir.token)
    scene.put(heir.job.id, result=early)
    story = scene.story()
    assert len(story.trespasses) == 3
    assert f"{zombie.token} wrote the result {late} while {heir.token} held the job" in story.trespasses[0]
    assert f"{zombie.token} ended the job while {heir.token} held it" in story.trespasses[1]
    assert f"{heir.token} wrote the result {early} while nobody held the job" in story.trespasses[2]
    assert story.results == [late, early]


def test_a_job_taken_from_its_holder_is_a_trespass(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim()
    scene.redis.zadd(f"{NAMESPACE}:queue:standard", {job.id: 0})
    scene.put(job.id, state="queued")  # else the act itself refuses
    second = scene.claim()
    story = scene.story()
    assert hows(story) == ["lost", "standing"]
    assert f"{second.token} took the job while {first.token} held it" in story.trespasses[0]


def test_an_end_restored_after_a_flush_is_the_same_end(scene: Scene) -> None:
    job = scene.submit()
    key = scene.finish(scene.claim())
    scene.redis.flushall()
    scene.ledger.adopt("test")
    scene.ledger.restore(job, JobState.SUCCEEDED, result=key, progress=progress(55, "done"), completed_at=2.0)
    story = scene.story()
    assert (story.ends, story.results, story.trespasses) == (["succeeded"], [key], [])
    assert [event.data.get("restored", False) for event in story.events if event.kind == "state"] == [
        False,
        False,
        False,
        True,
    ]


def test_an_end_restored_as_another_is_a_second_end(scene: Scene) -> None:
    job = scene.submit()
    scene.finish(scene.claim())
    scene.redis.flushall()
    scene.ledger.adopt("test")
    scene.ledger.restore(job, JobState.CANCELED)
    assert scene.story().ends == ["succeeded", "canceled"]


def test_a_running_job_flushed_and_restored_goes_on_without_a_trespass(scene: Scene) -> None:
    job = scene.submit()
    before = scene.claim()
    scene.paint(before, 12)
    scene.keep(before, 10)
    scene.redis.flushall()
    scene.ledger.adopt("test")
    scene.ledger.restore(job, JobState.QUEUED, checkpoint=keys.checkpoint(job.id, before.token, 10))
    after = scene.claim()
    scene.renew(after, resumed_from_step=10)
    scene.finish(after)
    story = scene.story()
    assert hows(story) == ["flushed", "succeeded"]
    assert (story.ends, story.trespasses) == (["succeeded"], [])
    assert [steps for _, steps in story.redone] == [2]


def test_a_second_publication_by_hand_is_a_second_result(scene: Scene) -> None:
    job = scene.submit()
    key = scene.finish(scene.claim())
    other = keys.result(job.id, "0123456789abcdef")
    scene.put(job.id, result=other)
    assert scene.story().results == [key, other]


def test_steps_are_redone_from_where_each_claim_went_on(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.paint(first, 20)
    scene.lose(first)
    resumed = scene.claim()
    scene.renew(resumed, progress=progress(20, "preparing"))
    scene.renew(resumed, resumed_from_step=15)
    scene.paint(resumed, 16)
    scene.lose(resumed)
    idle = scene.claim()
    scene.renew(idle, progress=progress(16, "preparing"))
    scene.ledger.release(idle, place="head", progress=progress(16, "preparing"))
    anew = scene.claim()
    scene.paint(anew, 1)
    scene.paint(anew, 2)
    story = scene.story()
    assert story.redone == [(story.claims[1].at, 5), (story.claims[3].at, 20)]


def test_who_goes_on_from_less_than_the_newest_checkpoint_is_named(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.paint(first, 24)
    scene.keep(first, 24)
    scene.lose(first)
    forgetful = scene.claim()
    scene.renew(forgetful, resumed_from_step=12)
    scene.lose(forgetful)
    ignorant = scene.claim()
    scene.paint(ignorant, 1)
    assert scene.story().fallen_behind == [
        f"{token} went on from step {step}, although the record named a checkpoint of step 24"
        for token, step in ((forgetful.token, 12), (ignorant.token, 0))
    ]


def test_who_says_that_a_checkpoint_is_broken_or_has_none_but_its_own_is_not_behind(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.keep(first, 24)  # before its first word
    scene.paint(first, 30)
    scene.lose(first)
    second = scene.claim()
    scene.renew(second, event=("warning", {"code": "checkpoint_unusable"}))
    scene.renew(second, resumed_from_step=12)
    assert scene.story().fallen_behind == []


def test_a_recovery_ends_when_the_job_is_in_line_again_or_at_its_end() -> None:
    states = ["queued", "running", "queued", "running", "succeeded"]
    events = [Event(float(at), "state", b'{"state": "%s"}' % state.encode()) for at, state in enumerate(states)]
    story = Story("a", [*events, Event(5.0, "progress", b"{}")])
    after = {at: story.requeued_after(at) for at in (-1.0, 0.5, 1.0, 1.5, 3.5, 9.0)}
    assert after == {-1.0: 0.0, 0.5: 0.5, 1.0: 2.0, 1.5: 2.0, 3.5: 4.0, 9.0: 9.0}
    assert Story("a", events[:2]).requeued_after(1.5) is None


def test_what_was_cut_off_never_happened(scene: Scene) -> None:
    job = scene.submit()
    key = scene.finish(scene.claim())
    scene.valkey.stop()
    (log,) = (scene.folder / "appendonlydir").glob("*.incr.aof")
    whole = log.read_bytes()
    last = whole.rindex(b"MULTI")
    for length in range(last, len(whole), 7):
        log.write_bytes(whole[:length])
        assert scene.stories()[job.id].results == []
    log.write_bytes(whole)
    assert scene.stories()[job.id].results == [key]


def test_a_server_killed_in_between_leaves_one_history(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.paint(claim, 3)
    scene.valkey.stop()  # by SIGKILL
    scene.valkey.start()
    key = scene.finish(claim)
    story = scene.story()
    assert (hows(story), story.results, story.trespasses) == (["succeeded"], [key], [])


def test_a_file_whose_beginning_is_lost_is_refused(scene: Scene) -> None:
    scene.submit()
    scene.redis.bgrewriteaof()
    while scene.redis.info("persistence")["aof_rewrite_in_progress"]:
        pass
    with pytest.raises(ValueError, match="auto-aof-rewrite-percentage 0"):
        scene.stories()
