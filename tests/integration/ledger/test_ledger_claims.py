"""A worker claims the first queued job that fits into its memory."""

import threading
from concurrent.futures import ThreadPoolExecutor

from support.fixtures.ledger import TIERS, claim, request, submit

from easel.models import JobState
from shared.jobs.estimate import MemoryKind
from shared.ledger.ledger import NAMESPACE, Ledger, connect
from shared.ledger.queue_stats import QueueStats

SMALL, LARGE = 4 * 2**30, 64 * 2**30  # workers
FITS_ALL, TOO_LARGE = SMALL, SMALL + 1  # jobs


def queue_up(ledger: Ledger, *peaks: int, tier: str = "standard") -> list[str]:
    return [submit(ledger, request(tier, peak=peak)) for peak in peaks]


def claim_all(ledger: Ledger, memory: int, kind: MemoryKind = "host") -> list[str]:
    """Claim jobs for a worker with this much memory until none is left; return their IDs."""
    ids = []
    while claimed := ledger.claim("w", TIERS, lease_seconds=60, memory_bytes=memory, memory_kind=kind):
        ids.append(claimed.job.id)
    return ids


def test_a_job_that_does_not_fit_keeps_its_position_and_those_behind_it_are_served(
    ledger: Ledger, queue_stats: QueueStats
) -> None:
    first, too_large, second, last = queue_up(ledger, FITS_ALL, TOO_LARGE, FITS_ALL, TOO_LARGE)
    assert claim_all(ledger, SMALL) == [first, second]
    assert (queue_stats.next_job_ids("standard", 1), queue_stats.depth("standard")) == ([too_large], 2)
    (new,) = queue_up(ledger, FITS_ALL)
    assert claim_all(ledger, LARGE) == [too_large, last, new]


def test_a_queue_of_jobs_that_do_not_fit_does_not_block_the_next_tier(ledger: Ledger) -> None:
    queue_up(ledger, TOO_LARGE, TOO_LARGE)
    (batch,) = queue_up(ledger, FITS_ALL, tier="batch")
    assert claim_all(ledger, SMALL) == [batch]


def test_unknown_memory_fits(ledger: Ledger) -> None:
    unknown, huge = queue_up(ledger, 0, 2**62)
    assert claim_all(ledger, 1) == [unknown]
    assert claim_all(ledger, 0) == [huge], "a worker of unknown memory takes any job"


def test_a_record_without_a_predicted_peak_fits_every_worker(ledger: Ledger, valkey_url: str) -> None:
    (old,) = queue_up(ledger, TOO_LARGE)
    connect(valkey_url).hdel(f"{NAMESPACE}:job:{old}", "peak_memory_bytes")
    assert claim_all(ledger, 1) == [old]


def test_gpu_memory_decides_on_a_gpu_worker_and_host_memory_elsewhere(ledger: Ledger) -> None:
    light_on_gpu = submit(ledger, request(peak=TOO_LARGE, gpu_peak=FITS_ALL))
    light_on_host = submit(ledger, request(peak=FITS_ALL, gpu_peak=TOO_LARGE))
    assert claim_all(ledger, SMALL, "gpu") == [light_on_gpu]
    assert ledger.get(light_on_host).peak_gpu_memory_bytes == TOO_LARGE
    assert claim_all(ledger, SMALL, "host") == [light_on_host]


def test_a_record_without_a_predicted_gpu_peak_fits_every_gpu(ledger: Ledger, valkey_url: str) -> None:
    old = submit(ledger, request(peak=TOO_LARGE, gpu_peak=TOO_LARGE))
    connect(valkey_url).hdel(f"{NAMESPACE}:job:{old}", "peak_gpu_memory_bytes")
    assert claim_all(ledger, SMALL, "host") == []
    assert claim_all(ledger, SMALL, "gpu") == [old]
    assert ledger.get(old).peak_gpu_memory_bytes == 0


def test_a_requeued_job_still_does_not_fit(ledger: Ledger) -> None:
    too_large, small = queue_up(ledger, TOO_LARGE, FITS_ALL)
    ledger.release(claim(ledger), place="head")
    claim(ledger, lease=-1)
    assert ledger.reap_expired_leases() == {too_large: JobState.QUEUED}
    assert claim_all(ledger, SMALL) == [small]
    assert claim_all(ledger, LARGE) == [too_large]


def test_a_restored_job_still_needs_a_worker_with_enough_memory(ledger: Ledger) -> None:
    lost = request(peak=TOO_LARGE)
    assert ledger.restore(lost, JobState.QUEUED)
    assert ledger.get(lost.id).peak_memory_bytes == TOO_LARGE
    assert claim_all(ledger, SMALL) == []
    assert claim_all(ledger, LARGE) == [lost.id]


def test_concurrent_workers_claim_every_job_once_and_none_that_is_too_large(ledger: Ledger) -> None:
    ids = queue_up(ledger, *[FITS_ALL, TOO_LARGE] * 20)
    start = threading.Barrier(8)

    def work(memory: int) -> list[str]:
        start.wait()
        return claim_all(ledger, memory)

    memories = [SMALL, LARGE] * 4
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(work, memories))
    assert sorted(job_id for share in shares for job_id in share) == sorted(ids)
    claimed_by_small = {
        job_id for memory, share in zip(memories, shares, strict=True) if memory == SMALL for job_id in share
    }
    assert claimed_by_small.isdisjoint(ids[1::2])
