"""How fast the job of a killed worker is queued again, and how fast a cancel frees its device."""

from collections.abc import Iterator, Sequence
from typing import Final

from chaos.audit.evidence import Evidence
from chaos.fault_log import REDIS, STORE, Disturbance

_CLAIM_KILLS: Final = frozenset({"kill_child", "kill_parent", "kill_group", "checkpoint_corrupt"})


def recovery_times(evidence: Evidence) -> Iterator[float]:
    """Yield the seconds from the kill of a worker until its job was queued or had ended, if Redis was available."""
    by_worker: dict[str, list[Disturbance]] = {}
    for disturbance in evidence.fault_log.disturbances:
        if disturbance.fault in _CLAIM_KILLS:
            by_worker.setdefault(disturbance.target, []).append(disturbance)
    for case in evidence.cases:
        for claim in case.history.claims:
            if claim.outcome != "lost" or claim.ended_at is None:
                continue
            times = [disturbance.began for disturbance in by_worker.get(claim.worker, ())]
            kills = [killed_at for killed_at in times if claim.at < killed_at < claim.ended_at]
            requeued_at = case.history.requeued_after(min(kills)) if kills else None
            if requeued_at is not None and not evidence.fault_log.during(REDIS, min(kills), requeued_at):
                yield requeued_at - min(kills)


def cancel_times(evidence: Evidence) -> Iterator[tuple[float, bool]]:
    """Yield (seconds from the cancel request to the canceled job, whether nothing disturbed it), by the events."""
    for case in evidence.cases:
        requested, stopped = (case.history.first(kind) for kind in ("cancel_requested", "acknowledged"))
        if requested is None or not case.history.claims:
            continue
        ended = next((event.at for event in case.history.states if event.data["state"] == "canceled"), None)
        if ended is not None and not case.restored_during(requested, ended):
            # The loop waits for the store before it passes a step that is to be saved.
            saves = case.job is not None and case.job.request.recipe.save_every > 0
            targets = (REDIS, case.history.claims[-1].worker, *([STORE] if saves else []))
            disturbed = any(evidence.fault_log.during(target, requested - 1, ended) for target in targets)
            # TensorFlow's first step, which traces, may take long on a busy machine.
            tracing = case.accepted.request.tensorflow_recipe is not None
            yield ended - requested, stopped is not None and not disturbed and not tracing


def percentile(values: Sequence[float], percent: int) -> float | None:
    """Return the value of the nearest rank, to two digits; None without values."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2) if ordered else None
