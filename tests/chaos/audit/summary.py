"""The measurements and violations of a run, over all stores."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from chaos.audit.evidence import Evidence
from chaos.audit.guarantees import CHECKS
from chaos.audit.timings import cancel_times, percentile, recovery_times
from chaos.fault_log import REDIS, STORE
from chaos.timeouts import LEASE_SECONDS, SCALED_SETTINGS, TENSORFLOW_SETTINGS

_BRIEF_SECONDS: Final = 2 * LEASE_SECONDS


def summarize(evidence_by_store: Sequence[Evidence]) -> dict[str, Any]:
    """Return the JSON line."""
    logs = [evidence.fault_log for evidence in evidence_by_store]
    kills, faults = _sum(log.kills for log in logs), _sum(log.faults for log in logs)
    recovered = [seconds for evidence in evidence_by_store for seconds in recovery_times(evidence)]
    redone = [reading for evidence in evidence_by_store for reading in _redone(evidence)]
    cases = [case for evidence in evidence_by_store for case in evidence.cases]
    canceled = [reading for evidence in evidence_by_store for reading in cancel_times(evidence)]
    intervals = [steps for case in cases for steps in case.history.intervals]
    drains = [seconds for log in logs for seconds in log.drains]
    broken = {check.__name__: sum(len(list(check(evidence))) for evidence in evidence_by_store) for check in CHECKS}
    return {
        "jobs": len(cases),
        "ended": dict(Counter(str(case.job.state) if case.job else "unknown" for case in cases)),
        "rendered_by_tensorflow": sum(case.accepted.request.tensorflow_recipe is not None for case in cases),
        "rendered_unaccepted": sum(evidence.unaccepted_jobs for evidence in evidence_by_store),
        "batches": sum(len(evidence.batches) for evidence in evidence_by_store),
        "webhooks_delivered": sum(it.acknowledged for evidence in evidence_by_store for it in evidence.deliveries),
        "webhooks_failed": sum(not it.acknowledged for evidence in evidence_by_store for it in evidence.deliveries),
        "claims": sum(len(case.history.claims) for case in cases),
        "kills": sum(kills.values()),
        "kills_by_kind": dict(sorted(kills.items())),
        "faults": dict(sorted(faults.items())),
        "api_crash_points": sorted({crash_point for log in logs for crash_point in log.api_crashes}),
        "stores": [evidence.store for evidence in evidence_by_store],
        **broken,
        "redone_steps_max": max((steps for steps, undisturbed in redone if undisturbed), default=0),
        "redone_steps_max_disturbed": max((steps for steps, _ in redone), default=0),
        "checkpoint_interval_steps": {"p50": percentile(intervals, 50), "max": max(intervals, default=0)},
        "recovery_seconds": {"p50": percentile(recovered, 50), "p99": percentile(recovered, 99)},
        "cancel_seconds": {
            "p99": percentile([seconds for seconds, undisturbed in canceled if undisturbed], 99),
            "p99_disturbed": percentile([seconds for seconds, _ in canceled], 99),
        },
        "drain_seconds": {"p99": percentile(drains, 99)},
        "machine_stalls": sum(len(evidence.stall_detector.stalls) for evidence in evidence_by_store),
        "scaled": SCALED_SETTINGS,
        "scaled_for_tensorflow": TENSORFLOW_SETTINGS,
    }


def violations(evidence_by_store: Sequence[Evidence]) -> list[str]:
    """Return a message for each violation of a guarantee."""
    return [
        f"{check.__name__} ({evidence.store}): {message}"
        for evidence in evidence_by_store
        for check in CHECKS
        for message in check(evidence)
    ]


def _sum(counters: Iterable["Counter[str]"]) -> "Counter[str]":
    return sum(counters, Counter())


def _redone(evidence: Evidence) -> Iterator[tuple[int, bool]]:
    """Yield (steps that a claim repeated, whether Redis and the store were undisturbed shortly before it)."""
    corrupted = {job_id for _, job_id in evidence.fault_log.corrupted}
    for case in evidence.cases:
        for at, steps in case.history.redone:
            disturbed = any(evidence.fault_log.during(target, at - _BRIEF_SECONDS, at) for target in (REDIS, STORE))
            yield steps, not disturbed and case.accepted.id not in corrupted
