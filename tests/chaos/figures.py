"""What a run measured, over all its worlds."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from chaos.evidence import Evidence
from chaos.notes import REDIS, STORE
from chaos.promises import CHECKS
from chaos.scale import LEASE_SECONDS, SCALED, TENSORFLOW
from chaos.seconds import cancels, percentile, recoveries

_BRIEF_SECONDS: Final = 2 * LEASE_SECONDS


def figures(evidences: Sequence[Evidence]) -> dict[str, Any]:
    """The JSON line."""
    kills, faults = (_summed(getattr(evidence.notes, name) for evidence in evidences) for name in ("kills", "faults"))
    recovered = [seconds for evidence in evidences for seconds in recoveries(evidence)]
    redone = [found for evidence in evidences for found in _redone(evidence)]
    cases = [case for evidence in evidences for case in evidence.cases]
    canceled = [found for evidence in evidences for found in cancels(evidence)]
    intervals = [steps for case in cases for steps in case.story.intervals]
    drains = [seconds for evidence in evidences for seconds in evidence.notes.drains]
    broken = {check.__name__: sum(len(list(check(evidence))) for evidence in evidences) for check in CHECKS}
    return {
        "jobs": len(cases),
        "ended": dict(Counter(str(case.job.state) if case.job else "unknown" for case in cases)),
        "painted_by_tensorflow": sum(case.known.order.painting is not None for case in cases),
        "painted_for_nobody": sum(evidence.strangers for evidence in evidences),
        "claims": sum(len(case.story.claims) for case in cases),
        "kills": sum(kills.values()),
        "kills_by_kind": dict(sorted(kills.items())),
        "faults": dict(sorted(faults.items())),
        "api_killed_at_moments": sorted({moment for evidence in evidences for moment in evidence.notes.api_deaths}),
        "stores": [evidence.store for evidence in evidences],
        **broken,
        "redone_steps_max": max((steps for steps, calm in redone if calm), default=0),
        "redone_steps_max_disturbed": max((steps for steps, _ in redone), default=0),
        "checkpoint_interval_steps": {"p50": percentile(intervals, 50), "max": max(intervals, default=0)},
        "recovery_seconds": {"p50": percentile(recovered, 50), "p99": percentile(recovered, 99)},
        "cancel_seconds": {
            "p99": percentile([seconds for seconds, calm in canceled if calm], 99),
            "p99_disturbed": percentile([seconds for seconds, _ in canceled], 99),
        },
        "drain_seconds": {"p99": percentile(drains, 99)},
        "standstills": sum(len(evidence.pulse.standstills) for evidence in evidences),
        "scaled": SCALED,
        "scaled_for_tensorflow": TENSORFLOW,
    }


def violations(evidences: Sequence[Evidence]) -> list[str]:
    """Each broken promise, in a sentence."""
    return [
        f"{check.__name__} ({evidence.store}): {told}"
        for evidence in evidences
        for check in CHECKS
        for told in check(evidence)
    ]


def _summed(counters: Iterable["Counter[str]"]) -> "Counter[str]":
    return sum(counters, Counter())


def _redone(evidence: Evidence) -> Iterator[tuple[int, bool]]:
    """Steps that a claim did again, and whether Redis and the store were there all the while before it."""
    corrupted = {job_id for _, job_id in evidence.notes.corrupted}
    for case in evidence.cases:
        for at, steps in case.story.redone:
            disturbed = any(evidence.notes.during(whom, at - _BRIEF_SECONDS, at) for whom in (REDIS, STORE))
            yield steps, not disturbed and case.known.id not in corrupted
