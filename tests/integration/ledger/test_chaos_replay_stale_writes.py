"""What the audit calls a trespass, a second end or a second result, and what it does not."""

import pytest
from support.fixtures.history import LEASE, Scene, outcomes, progress

from easel.models import JobState
from shared import redis_client
from shared.errors import ClaimLost
from shared.ledger.ledger import NAMESPACE, Ledger
from shared.storage import keys


@pytest.fixture
def broken_fence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger for which whoever comes holds the job."""
    whole, holds = redis_client._read_lua, "return token ~= '' and get_field(id, 'claim') == token"
    assert holds in whole("common")
    monkeypatch.setattr(redis_client, "_read_lua", lambda act: whole(act).replace(holds, "return token ~= ''"))
    return Ledger(scene.redis)


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
    history = scene.history()
    assert outcomes(history) == ["lost", "succeeded"]
    assert (history.results, history.stale_writes) == ([key], [])


def test_a_release_may_write_what_its_own_claim_kept(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.ledger.release(
        claim, place="head", progress=progress(3), checkpoint=keys.checkpoint(claim.job.id, claim.token, 3)
    )
    assert scene.history().stale_writes == []


def test_behind_a_broken_fence_a_zombies_checkpoint_is_a_trespass(scene: Scene, broken_fence: Ledger) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.lose(zombie)
    heir = scene.claim("heir")
    key = keys.checkpoint(zombie.job.id, zombie.token, 9)
    broken_fence.renew(zombie, lease_seconds=LEASE, checkpoint=key)
    (told,) = scene.history().stale_writes
    assert f"{zombie.token} wrote the checkpoint {key} while {heir.token} held the job" in told


def test_behind_a_broken_fence_a_zombies_progress_into_the_line_is_a_trespass(
    scene: Scene, broken_fence: Ledger
) -> None:
    scene.submit()
    zombie = scene.claim("zombie")
    scene.lose(zombie)
    broken_fence.renew(zombie, lease_seconds=LEASE, progress=progress(9))
    (told,) = scene.history().stale_writes
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
    history = scene.history()
    assert len(history.stale_writes) == 3
    assert f"{zombie.token} wrote the result {late} while {heir.token} held the job" in history.stale_writes[0]
    assert f"{zombie.token} ended the job while {heir.token} held it" in history.stale_writes[1]
    assert f"{heir.token} wrote the result {early} while nobody held the job" in history.stale_writes[2]
    assert history.results == [late, early]


def test_a_job_taken_from_its_holder_is_a_trespass(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim()
    scene.redis.zadd(f"{NAMESPACE}:queue:standard", {job.id: 0})
    scene.put(job.id, state="queued")  # else the act itself refuses
    second = scene.claim()
    history = scene.history()
    assert outcomes(history) == ["lost", "active"]
    assert f"{second.token} took the job while {first.token} held it" in history.stale_writes[0]


def test_a_second_publication_by_hand_is_a_second_result(scene: Scene) -> None:
    job = scene.submit()
    key = scene.finish(scene.claim())
    other = keys.result(job.id, "0123456789abcdef")
    scene.put(job.id, result=other)
    assert scene.history().results == [key, other]
