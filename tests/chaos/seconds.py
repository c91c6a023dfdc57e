"""How soon the job of a killed worker waits again, and how soon a canceled one leaves its device."""

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.evidence import Evidence
from chaos.notes import REDIS, Span

_CLAIM_KILLS: Final = frozenset({"kill_child", "kill_parent", "kill_group", "checkpoint_corrupt"})


def recoveries(evidence: Evidence) -> Iterator[float]:
    """From the death of a claim's holder until the job waits again or has ended, where nothing else was away."""
    by_worker: dict[str, list[Span]] = {}
    for span in evidence.notes.spans:
        if span.what in _CLAIM_KILLS:
            by_worker.setdefault(span.whom, []).append(span)
    for case in evidence.cases:
        for claim in case.story.claims:
            if claim.how_it_ended != "lost" or claim.ended_at is None:
                continue
            deaths = [span.began for span in by_worker.get(claim.worker, ()) if claim.at < span.began < claim.ended_at]
            back = case.story.requeued_after(min(deaths)) if deaths else None
            if back is not None and not evidence.notes.during(REDIS, min(deaths), back):
                yield back - min(deaths)


def cancels(evidence: Evidence) -> Iterator[tuple[float, bool]]:
    """Seconds from the wish to the free device, by the record; and whether holder, Redis and store were well."""
    for case in evidence.cases:
        job = case.job
        if case.rebuilt:
            continue  # nobody knows when it was
        if job and job.canceled_at and job.cancel_requested_at and case.story.claims:
            began, ended = job.cancel_requested_at, job.canceled_at
            whoms = (REDIS, case.story.claims[-1].worker)
            calm = job.acknowledged_at and not any(evidence.notes.during(whom, began - 1, ended) for whom in whoms)
            yield ended - began, bool(calm)


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank; None of nothing."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2) if ordered else None
