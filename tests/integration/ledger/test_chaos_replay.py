"""What the audit of the append-only file tells of lives without a trespass, over real acts on a real Valkey."""

from chaos.audit.job_history import Event, JobHistory
from support.fixtures.history import Scene, outcomes, progress

from easel.models import JobState
from shared.ledger.ledger import NAMESPACE


def test_an_ordinary_life_is_told_as_it_was(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim("ann")
    scene.paint(first, 7)
    scene.ledger.release(first, place="tail")
    second = scene.claim("bob")
    key = scene.finish(second)
    history = scene.history()
    assert history.id == job.id
    assert [event.data["state"] for event in history.events if event.kind == "state"] == [
        "queued",
        "running",
        "queued",
        "running",
        "succeeded",
    ]
    assert [(claim.token, claim.worker) for claim in history.claims] == [(first.token, "ann"), (second.token, "bob")]
    assert outcomes(history) == ["queued", "succeeded"]
    assert (history.ends, history.results, history.stale_writes, history.deleted) == (["succeeded"], [key], [], False)


def test_what_is_told_to_webhooks_is_no_part_of_the_history(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.tell(gone=False)
    scene.finish(claim)
    before = scene.history()
    scene.tell(gone=True)
    assert scene.ledger.get(claim.job.id).webhook_disabled
    history = scene.history()
    assert (history.ends, history.claims, history.stale_writes) == (["succeeded"], before.claims, [])


def test_times_are_those_of_the_server(scene: Scene) -> None:
    seconds, micros = scene.redis.time()
    scene.submit()
    scene.finish(scene.claim())
    after = scene.redis.time()
    (claim,) = scene.history().claims
    assert claim.ended_at is not None
    assert seconds + micros / 1e6 - 0.001 <= claim.at <= claim.ended_at <= after[0] + after[1] / 1e6


def test_a_job_in_hand_has_a_standing_claim_and_no_end(scene: Scene) -> None:
    scene.submit()
    scene.claim()
    history = scene.history()
    assert (outcomes(history), history.ends, history.claims[0].ended_at) == (["active"], [], None)


def test_each_end_is_told_by_its_name(scene: Scene) -> None:
    waiting = scene.submit()
    scene.ledger.request_control(waiting.id, "cancel")
    failing = scene.submit()
    scene.finish(scene.claim(), JobState.FAILED)
    poison = scene.submit()
    scene.redis.zadd(f"{NAMESPACE}:leases", {scene.claim().job.id: 0})
    scene.reap(limit=1)
    stopped = scene.submit()
    held = scene.claim()
    scene.ledger.request_control(stopped.id, "cancel")
    scene.lose(held)
    told = {job_id: (history.ends, outcomes(history)) for job_id, history in scene.histories().items()}
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
    history = scene.history()
    assert (history.deleted, history.ends, history.stale_writes) == (True, ["succeeded"], [])


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
    history = scene.history()
    assert history.redone == [(history.claims[1].at, 5), (history.claims[3].at, 20)]


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
    assert scene.history().outdated_resumes == [
        f"{token} resumed from step {step}, although the record named a checkpoint of step 24"
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
    assert scene.history().outdated_resumes == []


def test_a_recovery_ends_when_the_job_is_in_line_again_or_at_its_end() -> None:
    states = ["queued", "running", "queued", "running", "succeeded"]
    events = [Event(float(at), "state", b'{"state": "%s"}' % state.encode()) for at, state in enumerate(states)]
    history = JobHistory("a", [*events, Event(5.0, "progress", b"{}")])
    after = {at: history.requeued_after(at) for at in (-1.0, 0.5, 1.0, 1.5, 3.5, 9.0)}
    assert after == {-1.0: 0.0, 0.5: 0.5, 1.0: 2.0, 1.5: 2.0, 3.5: 4.0, 9.0: 9.0}
    assert JobHistory("a", events[:2]).requeued_after(1.5) is None
