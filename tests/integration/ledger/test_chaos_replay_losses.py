"""The audit after Redis was flushed, killed, or its file truncated."""

import pytest
from support.fixtures.history import Scene, outcomes, progress

from easel.models import JobState
from shared.storage import keys


def test_an_end_restored_after_a_flush_is_not_a_second_end(scene: Scene) -> None:
    job = scene.submit()
    key = scene.end_job(scene.claim())
    scene.redis.flushall()
    scene.ledger.ensure_identity("test")
    scene.ledger.restore(job, JobState.SUCCEEDED, result=key, progress=progress(55, "done"), completed_at=2.0)
    history = scene.history()
    assert (history.ends, history.results, history.stale_writes) == (["succeeded"], [key], [])
    assert [event.data.get("restored", False) for event in history.events if event.kind == "state"] == [
        False,
        False,
        False,
        True,
    ]


def test_an_end_restored_with_another_state_is_a_second_end(scene: Scene) -> None:
    job = scene.submit()
    scene.end_job(scene.claim())
    scene.redis.flushall()
    scene.ledger.ensure_identity("test")
    scene.ledger.restore(job, JobState.CANCELED)
    assert scene.history().ends == ["succeeded", "canceled"]


def test_a_running_job_flushed_and_restored_continues_without_a_stale_write(scene: Scene) -> None:
    job = scene.submit()
    before = scene.claim()
    scene.report_step(before, 12)
    scene.checkpoint(before, 10)
    scene.redis.flushall()
    scene.ledger.ensure_identity("test")
    scene.ledger.restore(job, JobState.QUEUED, checkpoint=keys.checkpoint(job.id, before.token, 10))
    after = scene.claim()
    scene.renew(after, resumed_from_step=10)
    scene.end_job(after)
    history = scene.history()
    assert outcomes(history) == ["flushed", "succeeded"]
    assert (history.ends, history.stale_writes) == (["succeeded"], [])
    assert [steps for _, steps in history.redone] == [2]


def test_a_truncated_transaction_is_ignored(scene: Scene) -> None:
    job = scene.submit()
    key = scene.end_job(scene.claim())
    scene.valkey.stop()
    (log,) = (scene.folder / "appendonlydir").glob("*.incr.aof")
    whole = log.read_bytes()
    last = whole.rindex(b"MULTI")
    for length in range(last, len(whole), 7):
        log.write_bytes(whole[:length])
        assert scene.histories()[job.id].results == []
    log.write_bytes(whole)
    assert scene.histories()[job.id].results == [key]


def test_a_history_continues_after_the_server_was_killed(scene: Scene) -> None:
    scene.submit()
    claim = scene.claim()
    scene.report_step(claim, 3)
    scene.valkey.stop()  # by SIGKILL
    scene.valkey.start()
    key = scene.end_job(claim)
    history = scene.history()
    assert (outcomes(history), history.results, history.stale_writes) == (["succeeded"], [key], [])


def test_a_rewritten_file_is_rejected(scene: Scene) -> None:
    scene.submit()
    scene.redis.bgrewriteaof()
    while scene.redis.info("persistence")["aof_rewrite_in_progress"]:
        pass
    with pytest.raises(ValueError, match="auto-aof-rewrite-percentage 0"):
        scene.histories()
