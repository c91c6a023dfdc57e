"""Which of the waiting jobs a worker gets: the first in line that it has the memory for."""

import threading
from concurrent.futures import ThreadPoolExecutor

from support.fixtures.ledger import TIERS, claim, reap, request, submit

from easel.models import JobState
from shared.jobs.estimate import MemoryKind
from shared.ledger.ledger import NAMESPACE, Ledger, connect
from shared.ledger.queue_stats import QueueStats

SMALL, LARGE = 4 * 2**30, 64 * 2**30  # workers
FITS_ALL, TOO_LARGE = SMALL, SMALL + 1  # jobs


def queue_up(ledger: Ledger, *peaks: int, tier: str = "standard") -> list[str]:
    return [submit(ledger, request(tier, peak=peak)) for peak in peaks]


def taken(ledger: Ledger, memory: int, kind: MemoryKind = "host") -> list[str]:
    """What a worker of so much memory gets, until it gets nothing more."""
    ids = []
    while found := ledger.claim("w", TIERS, lease_seconds=60, memory_bytes=memory, memory_kind=kind):
        ids.append(found.job.id)
    return ids


def test_a_misfit_keeps_its_place_for_a_larger_worker_and_what_stands_behind_it_is_served(
    ledger: Ledger, queue_stats: QueueStats
) -> None:
    first, misfit, second, last = queue_up(ledger, FITS_ALL, TOO_LARGE, FITS_ALL, TOO_LARGE)
    assert taken(ledger, SMALL) == [first, second]
    assert (queue_stats.next_job_id("standard"), queue_stats.depth("standard")) == (misfit, 2)
    (newcomer,) = queue_up(ledger, FITS_ALL)
    assert taken(ledger, LARGE) == [misfit, last, newcomer]


def test_a_line_of_misfits_does_not_keep_the_worker_from_the_next_tier(ledger: Ledger) -> None:
    queue_up(ledger, TOO_LARGE, TOO_LARGE)
    (batch,) = queue_up(ledger, FITS_ALL, tier="batch")
    assert taken(ledger, SMALL) == [batch]


def test_what_is_unknown_is_no_hindrance(ledger: Ledger) -> None:
    unknown, huge = queue_up(ledger, 0, 2**62)
    assert taken(ledger, 1) == [unknown]
    assert taken(ledger, 0) == [huge], "a worker that states no memory takes anything"


def test_a_record_from_before_peaks_were_predicted_fits_everywhere(ledger: Ledger, valkey_url: str) -> None:
    (old,) = queue_up(ledger, TOO_LARGE)
    connect(valkey_url).hdel(f"{NAMESPACE}:job:{old}", "peak_memory_bytes")
    assert taken(ledger, 1) == [old]


def test_on_a_gpu_the_gpus_memory_decides_and_elsewhere_the_machines(ledger: Ledger) -> None:
    light_on_gpu = submit(ledger, request(peak=TOO_LARGE, gpu_peak=FITS_ALL))
    light_on_host = submit(ledger, request(peak=FITS_ALL, gpu_peak=TOO_LARGE))
    assert taken(ledger, SMALL, "gpu") == [light_on_gpu]
    assert ledger.get(light_on_host).peak_gpu_memory_bytes == TOO_LARGE
    assert taken(ledger, SMALL, "host") == [light_on_host]


def test_a_record_from_before_gpu_peaks_were_predicted_fits_every_gpu(ledger: Ledger, valkey_url: str) -> None:
    old = submit(ledger, request(peak=TOO_LARGE, gpu_peak=TOO_LARGE))
    connect(valkey_url).hdel(f"{NAMESPACE}:job:{old}", "peak_gpu_memory_bytes")
    assert taken(ledger, SMALL, "host") == []
    assert taken(ledger, SMALL, "gpu") == [old]
    assert ledger.get(old).peak_gpu_memory_bytes == 0


def test_a_misfit_is_still_one_after_it_came_back(ledger: Ledger) -> None:
    misfit, small = queue_up(ledger, TOO_LARGE, FITS_ALL)
    ledger.release(claim(ledger), place="head")
    claim(ledger, lease=-1)
    assert reap(ledger) == {misfit: JobState.QUEUED}
    assert taken(ledger, SMALL) == [small]
    assert taken(ledger, LARGE) == [misfit]


def test_a_restored_job_still_waits_for_a_worker_that_is_large_enough(ledger: Ledger) -> None:
    lost = request(peak=TOO_LARGE)
    assert ledger.restore(lost, JobState.QUEUED)
    assert ledger.get(lost.id).peak_memory_bytes == TOO_LARGE
    assert taken(ledger, SMALL) == []
    assert taken(ledger, LARGE) == [lost.id]


def test_small_and_large_workers_at_once_share_all_jobs_and_no_misfit_is_taken(ledger: Ledger) -> None:
    ids = queue_up(ledger, *[FITS_ALL, TOO_LARGE] * 20)
    start = threading.Barrier(8)

    def work(memory: int) -> list[str]:
        start.wait()
        return taken(ledger, memory)

    memories = [SMALL, LARGE] * 4
    with ThreadPoolExecutor(8) as pool:
        shares = list(pool.map(work, memories))
    assert sorted(job_id for share in shares for job_id in share) == sorted(ids)
    of_small = {job_id for memory, share in zip(memories, shares, strict=True) if memory == SMALL for job_id in share}
    assert of_small.isdisjoint(ids[1::2])
