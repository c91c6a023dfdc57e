"""What the audit reports as a stale write, a second end or a second result, and what it does not."""

import pytest
from support.fixtures.history import LEASE, Scene, outcomes, progress

from easel.models import JobState
from shared import redis_client
from shared.errors import ClaimLost
from shared.ledger.ledger import NAMESPACE, Ledger
from shared.storage import keys


@pytest.fixture
def broken_fence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that accepts every token."""
    read_lua, fence = redis_client._read_lua, "return token ~= '' and get_field(id, 'claim') == token"
    assert fence in read_lua("common")
    monkeypatch.setattr(redis_client, "_read_lua", lambda name: read_lua(name).replace(fence, "return token ~= ''"))
    return Ledger(scene.redis)


def test_a_fenced_zombie_makes_no_stale_write(scene: Scene) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.checkpoint(zombie, 5)
    scene.expire_lease(zombie)
    successor = scene.claim("successor")
    scene.renew(successor, resumed_from_step=5)
    for call in (scene.end_job, lambda claim: scene.checkpoint(claim, 9)):
        with pytest.raises(ClaimLost):
            call(zombie)
    older = keys.checkpoint(zombie.job.id, zombie.token, 5)
    scene.renew(successor, checkpoint=keys.checkpoint(successor.job.id, successor.token, 9), previous_checkpoint=older)
    key = scene.end_job(successor)
    history = scene.history()
    assert outcomes(history) == ["lost", "succeeded"]
    assert (history.results, history.stale_writes) == ([key], [])


def test_a_release_may_write_its_own_checkpoint(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.ledger.release(
        claim, place="head", progress=progress(3), checkpoint=keys.checkpoint(claim.job.id, claim.token, 3)
    )
    assert scene.history().stale_writes == []


def test_without_a_fence_a_zombies_checkpoint_is_a_stale_write(scene: Scene, broken_fence: Ledger) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.expire_lease(zombie)
    successor = scene.claim("successor")
    key = keys.checkpoint(zombie.job.id, zombie.token, 9)
    broken_fence.renew(zombie, lease_seconds=LEASE, checkpoint=key)
    (stale_write,) = scene.history().stale_writes
    assert f"{zombie.token} wrote the checkpoint {key} while {successor.token} held the job" in stale_write


def test_without_a_fence_a_zombies_progress_on_a_queued_job_is_a_stale_write(
    scene: Scene, broken_fence: Ledger
) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.expire_lease(zombie)
    broken_fence.renew(zombie, lease_seconds=LEASE, progress=progress(9))
    (stale_write,) = scene.history().stale_writes
    assert "progress was written while no worker held the job" in stale_write


def test_without_a_fence_a_zombies_end_is_a_stale_write_and_a_second_result(scene: Scene, broken_fence: Ledger) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.expire_lease(zombie)
    successor = scene.claim("successor")
    late = keys.result(zombie.job.id, zombie.token)
    broken_fence.end_job(zombie, JobState.SUCCEEDED, result=late)
    early = keys.result(successor.job.id, successor.token)
    scene.set_fields(successor.job.id, result=early)
    history = scene.history()
    assert len(history.stale_writes) == 3
    assert f"{zombie.token} wrote the result {late} while {successor.token} held the job" in history.stale_writes[0]
    assert f"{zombie.token} ended the job while {successor.token} held it" in history.stale_writes[1]
    assert f"{successor.token} wrote the result {early} while no worker held the job" in history.stale_writes[2]
    assert history.results == [late, early]


def test_a_job_claimed_while_held_is_a_stale_write(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim()
    scene.redis.zadd(f"{NAMESPACE}:queue:standard", {job.id: 0})
    scene.set_fields(job.id, state="queued")  # or the script would refuse
    second = scene.claim()
    history = scene.history()
    assert outcomes(history) == ["lost", "active"]
    assert f"{second.token} took the job while {first.token} held it" in history.stale_writes[0]


def test_a_result_changed_without_a_claim_is_a_second_result(scene: Scene) -> None:
    job = scene.submit()
    key = scene.end_job(scene.claim())
    other = keys.result(job.id, "0123456789abcdef")
    scene.set_fields(job.id, result=other)
    assert scene.history().results == [key, other]
