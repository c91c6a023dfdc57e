"""A ledger that the benchmarks filled is one that the product could have filled."""

from pathlib import Path

from benchmarks.service.support.ledger_filler import LedgerFiller

from easel.models import JobState
from shared.services import ensure_paired, open_services
from shared.settings import Settings


def test_every_job_of_a_filled_ledger_is_in_its_place(valkey_url: str, tmp_path: Path) -> None:
    services = open_services(Settings(redis_url=valkey_url, store_url=(tmp_path / "blobs").as_uri()))
    ensure_paired(services)
    filler = LedgerFiller.for_services(services)
    claims = filler.add_live_jobs(running=2, waiting=5)
    filler.add_ended_jobs(30)
    jobs = services.ledger.list(limit=100)
    assert [job.id for job in jobs] == filler.ids()[::-1]
    assert len(jobs) == filler.total == 37
    assert {claim.job.id for claim in claims} == {job.id for job in jobs if job.state is JobState.RUNNING}
    assert services.queue_stats.positions([job for job in jobs if job.state is JobState.QUEUED][::-1]) == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert [services.queue_stats.count(state) for state in JobState] == [5, 2, 24, 3, 3]
    assert all(job.result for job in jobs if job.state is JobState.SUCCEEDED)
