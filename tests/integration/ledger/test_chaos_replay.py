"""The audit of the append-only file, for histories without stale writes, on a real Valkey."""

from chaos.audit.job_history import Event, JobHistory
from support.fixtures.history import Scene, outcomes, progress

from easel.models import JobState


def test_an_ordinary_history_is_complete(scene: Scene) -> None:
    job = scene.submit()
    first = scene.claim("ann")
    scene.report_step(first, 7)
    scene.ledger.release(first, place="tail")
    second = scene.claim("bob")
    key = scene.end_job(second)
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


def test_webhook_deliveries_are_not_part_of_the_history(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.deliver_webhook(gone=False)
    scene.end_job(claim)
    before = scene.history()
    scene.deliver_webhook(gone=True)
    assert scene.ledger.get(claim.job.id).webhook_disabled
    history = scene.history()
    assert (history.ends, history.claims, history.stale_writes) == (["succeeded"], before.claims, [])


def test_times_come_from_the_server(scene: Scene) -> None:
    seconds, micros = scene.redis.time()
    scene.submit()
    scene.end_job(scene.claim())
    after = scene.redis.time()
    (claim,) = scene.history().claims
    assert claim.ended_at is not None
    assert seconds + micros / 1e6 - 0.001 <= claim.at <= claim.ended_at <= after[0] + after[1] / 1e6


def test_a_running_job_has_an_active_claim_and_no_end(scene: Scene) -> None:
    scene.submit()
    scene.claim()
    history = scene.history()
    assert (outcomes(history), history.ends, history.claims[0].ended_at) == (["active"], [], None)


def test_each_end_has_its_state(scene: Scene) -> None:
    waiting = scene.submit()
    scene.ledger.request_control(waiting.id, "cancel")
    failing = scene.submit()
    scene.end_job(scene.claim(), JobState.FAILED)
    stopped = scene.submit()
    claimed = scene.claim()
    scene.ledger.request_control(stopped.id, "cancel")
    scene.expire_lease(claimed)
    ends = {job_id: (history.ends, outcomes(history)) for job_id, history in scene.histories().items()}
    assert ends == {
        waiting.id: (["canceled"], []),
        failing.id: (["failed"], ["failed"]),
        stopped.id: (["canceled"], ["lost"]),
    }


def test_a_deleted_job_is_marked_as_deleted(scene: Scene) -> None:
    job = scene.submit()
    scene.end_job(scene.claim())
    scene.ledger.delete(job.id)
    history = scene.history()
    assert (history.deleted, history.ends, history.stale_writes) == (True, ["succeeded"], [])


def test_redone_steps_count_from_where_each_claim_resumed(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.report_step(first, 20)
    scene.expire_lease(first)
    resumed = scene.claim()
    scene.renew(resumed, progress=progress(20, "preparing"))
    scene.renew(resumed, resumed_from_step=15)
    scene.report_step(resumed, 16)
    scene.expire_lease(resumed)
    idle = scene.claim()
    scene.renew(idle, progress=progress(16, "preparing"))
    scene.ledger.release(idle, place="head", progress=progress(16, "preparing"))
    restarted = scene.claim()
    scene.report_step(restarted, 1)
    scene.report_step(restarted, 2)
    history = scene.history()
    assert history.redone == [(history.claims[1].at, 5), (history.claims[3].at, 20)]


def test_a_claim_that_resumes_from_an_older_checkpoint_is_reported(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.report_step(first, 24)
    scene.checkpoint(first, 24)
    scene.expire_lease(first)
    outdated = scene.claim()
    scene.renew(outdated, resumed_from_step=12)
    scene.expire_lease(outdated)
    restarted = scene.claim()
    scene.report_step(restarted, 1)
    assert scene.history().outdated_resumes == [
        f"{token} resumed from step {step}, although the record named a checkpoint of step 24"
        for token, step in ((outdated.token, 12), (restarted.token, 0))
    ]


def test_an_unusable_checkpoint_or_one_of_the_same_claim_is_not_an_outdated_resume(scene: Scene) -> None:
    scene.submit()
    first = scene.claim()
    scene.checkpoint(first, 24)  # before its first progress
    scene.report_step(first, 30)
    scene.expire_lease(first)
    second = scene.claim()
    scene.renew(second, event=("warning", {"code": "checkpoint_unusable"}))
    scene.renew(second, resumed_from_step=12)
    assert scene.history().outdated_resumes == []


def test_a_recovery_ends_when_the_job_is_queued_again_or_has_ended() -> None:
    states = ["queued", "running", "queued", "running", "succeeded"]
    events = [Event(float(at), "state", b'{"state": "%s"}' % state.encode()) for at, state in enumerate(states)]
    history = JobHistory("a", [*events, Event(5.0, "progress", b"{}")])
    after = {at: history.requeued_after(at) for at in (-1.0, 0.5, 1.0, 1.5, 3.5, 9.0)}
    assert after == {-1.0: 0.0, 0.5: 0.5, 1.0: 2.0, 1.5: 2.0, 3.5: 4.0, 9.0: 9.0}
    assert JobHistory("a", events[:2]).requeued_after(1.5) is None
