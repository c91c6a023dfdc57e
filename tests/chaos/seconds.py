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
    """Seconds from the wish to the free device, by the events; and whether holder, Redis and store were well."""
    for case in evidence.cases:
        asked, stopped = (case.story.first(kind) for kind in ("cancel_requested", "acknowledged"))
        if asked is None or not case.story.claims:
            continue
        ended = next((event.at for event in case.story.states if event.data["state"] == "canceled"), None)
        if ended is not None and not case.rebuilt(asked, ended):
            whoms = (REDIS, case.story.claims[-1].worker)
            harmed = any(evidence.notes.during(whom, asked - 1, ended) for whom in whoms)
            tracing = case.known.order.painting is not None  # TensorFlow's first step may take long on a busy machine
            yield ended - asked, stopped is not None and not harmed and not tracing


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The nearest rank; None of nothing."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2) if ordered else None
