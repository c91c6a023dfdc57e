"""What must hold for every accepted job, whatever happened; a broken promise is a sentence."""

from collections.abc import Callable, Iterator
from typing import Final

from chaos.engine import Kind
from chaos.evidence import Case, Evidence
from chaos.notes import REDIS, WHOEVER_PUBLISHES
from chaos.scale import LEASE_SECONDS
from chaos.seconds import cancels, percentile, recoveries
from chaos.story import Claim
from easel.models import TERMINAL, JobState

Check = Callable[[Evidence], Iterator[str]]

_EXPECTED_CODES: Final = {Kind.POISON: "attempts_exhausted", Kind.FILLS: "out_of_memory"}
_GRACE_SECONDS: Final = 2 * LEASE_SECONDS
_RECOVERY_SECONDS: Final = 20.0
_DRAIN_SECONDS: Final = 15.0
_CANCEL_SECONDS: Final = 2.0
_MARGIN_SECONDS: Final = 1.0
_OUTAGES: Final = frozenset({"redis_down", "half_open_all", "redis_full", "redis_kill"})


def lost(evidence: Evidence) -> Iterator[str]:
    """Every accepted job ends."""
    for case in evidence.cases:
        if case.job is None:
            yield f"{case.name} was accepted and is not known any more"
        elif case.job.state not in TERMINAL:
            yield f"{case.name} was accepted and is still {case.job.state}"


def duplicated(evidence: Evidence) -> Iterator[str]:
    """It ends once, with one result; and one key names one job."""
    for case in evidence.cases:
        if len(case.story.ends) > 1:
            yield f"{case.name} ended {len(case.story.ends)} times: {', '.join(case.story.ends)}"
        if len(set(case.story.results)) > 1:
            yield f"{case.name} had {len(case.story.results)} results: {', '.join(case.story.results)}"
        if case.known.again not in {None, case.known.id}:
            yield f"{case.name} was sent twice under one key and answered with {case.known.again}, too"


def trespasses(evidence: Evidence) -> Iterator[str]:
    """Nothing is visible that was written after its claim had ended."""
    for case in evidence.cases:
        yield from (f"{case.name}: {told}" for told in case.story.trespasses)
        result = case.job.result if case.job else None
        if result and not any(token in result for token in _who_may_publish(case)):
            yield f"{case.name} shows the result {result}, of a claim that may not have published it"


def _who_may_publish(case: Case) -> list[str]:
    """The last holder; where Redis forgot the end, any holder whose verdict the blob store kept."""
    tokens = [claim.token for claim in case.story.claims]
    ends = [event for event in case.story.states if event.data["state"] in TERMINAL]
    restored = bool(ends) and bool(ends[0].data.get("restored"))
    return tokens if restored else tokens[-1:]


def differing_pictures(evidence: Evidence) -> Iterator[str]:
    """A picture is, byte for byte, the one of an undisturbed run."""
    for case in evidence.cases:
        job = case.job
        if job is None or job.result is None:
            if job is not None and job.state is JobState.SUCCEEDED:
                yield f"{case.name} succeeded without a result"
            continue
        step = job.stopped_at_step
        if step is None or case.picture != case.undisturbed:
            yield f"{case.name} differs from an undisturbed run at step {step}, after {len(case.story.claims)} claims"
        elif job.state is JobState.SUCCEEDED and not job.stopped_early and step != job.request.recipe.steps:
            yield f"{case.name} stopped at step {step} of {job.request.recipe.steps} without being asked to"


def left_terminal(evidence: Evidence) -> Iterator[str]:
    """An end that was seen is never taken back, and its picture never changes."""
    for case in evidence.cases:
        ends = [state for state in case.known.states if state in TERMINAL]
        now = [str(case.job.state)] if case.job else []
        if len(set(ends + now)) > 1 or (ends and case.known.states[-1] not in TERMINAL):
            yield f"{case.name} was seen {', '.join(case.known.states)} and is {', '.join(now)}"
        if case.known.picture and case.picture != case.known.picture:
            yield f"{case.name} showed another picture than it shows now"


def results_of_canceled(evidence: Evidence) -> Iterator[str]:
    """A canceled job keeps its preview alone."""
    for case in evidence.cases:
        if case.job and case.job.state is JobState.CANCELED and case.job.result:
            yield f"{case.name} was canceled and has the result {case.job.result}"


def unexpected_failures(evidence: Evidence) -> Iterator[str]:
    """Poison fails by its name, what never fits in memory by its own, and nothing else fails."""
    for case in evidence.cases:
        if case.job is None or case.job.state not in TERMINAL:
            continue
        code = case.job.error.code if case.job.error else None
        expected = _EXPECTED_CODES.get(case.known.order.kind)
        if code != expected:
            told = case.job.error.detail if case.job.error else ""
            yield f"{case.name} ended {case.job.state} with {code}, not with {expected}. {told}"


def unasked_cancels(evidence: Evidence) -> Iterator[str]:
    """Only who asked for it is canceled."""
    for case in evidence.cases:
        if case.job and case.job.state is JobState.CANCELED and case.known.order.fate != "cancel":
            yield f"{case.name} was canceled, and nobody had asked for it"


def slow_recoveries(evidence: Evidence) -> Iterator[str]:
    """A killed worker's job waits again within its lease and 20 seconds, in 99 of 100 cases."""
    slowest = percentile(list(recoveries(evidence)), 99) or 0
    if slowest > LEASE_SECONDS + _RECOVERY_SECONDS:
        yield f"it took {slowest} s from a kill until the job waited again"


def silent_corruption(evidence: Evidence) -> Iterator[str]:
    """Who meets a broken checkpoint says so in the job's events."""
    for at, job_id in evidence.notes.corrupted:
        # A rebuilding takes the newest checkpoint in the store, which may be another than the broken one.
        for case in (case for case in evidence.cases if case.known.id == job_id):
            went_on = [claim for claim in case.story.claims if claim.at > at and claim.how_it_ended == "succeeded"]
            said = any(event.data.get("code") == "checkpoint_unusable" for event in case.story.events)
            if went_on and not said and not case.rebuilt(at, went_on[0].at):
                yield f"{case.name} went on from a broken checkpoint without a word"


def fallen_behind(evidence: Evidence) -> Iterator[str]:
    """Whoever takes a job over goes on from the newest checkpoint: no more is done again than came after it."""
    for case in evidence.cases:
        yield from (f"{case.name}: {told}" for told in case.story.fallen_behind)


def slow_drains(evidence: Evidence) -> Iterator[str]:
    """Who is told to leave has left within 15 seconds and an evaluation, in 99 of 100 cases."""
    slowest = percentile(evidence.notes.drains, 99) or 0
    if slowest > _DRAIN_SECONDS + _MARGIN_SECONDS:
        yield f"it took {slowest} s from SIGTERM until a worker had left"


def slow_cancels(evidence: Evidence) -> Iterator[str]:
    """The device is free within 2 seconds and an evaluation, in 99 of 100 cases in which nothing else is away."""
    slowest = percentile([seconds for seconds, calm in cancels(evidence) if calm], 99) or 0
    if slowest > _CANCEL_SECONDS + _MARGIN_SECONDS:
        yield f"it took {slowest} s from a cancel until the device was free"


def absent_faults(evidence: Evidence) -> Iterator[str]:
    """What a run was to go through came about."""
    yield from (f"{name} never came about" for name in evidence.due if not evidence.notes.faults[name])


def taken_unjustly(evidence: Evidence) -> Iterator[str]:
    """Nobody loses a job because Redis was away."""
    for case in evidence.cases:
        for claim in case.story.claims:
            if claim.how_it_ended == "lost" and _nothing_else_happened(evidence, case, claim):
                yield f"{case.name} was taken from {claim.worker} at {claim.ended_at}, since Redis was away"


def _nothing_else_happened(evidence: Evidence, case: Case, claim: Claim) -> bool:
    """Redis was away shortly before the loss, and that is all that its holder suffered since it claimed the job."""
    notes, ended = evidence.notes, claim.ended_at or float("inf")
    window = ended - _GRACE_SECONDS, ended
    redis = {span.what for span in notes.during(REDIS, *window)}
    began = claim.at - _MARGIN_SECONDS
    harmed = notes.during(claim.worker, began, ended) or notes.during(WHOEVER_PUBLISHES, began, ended)
    ordinary = case.known.order.kind is Kind.ORDINARY
    return bool(redis) and redis <= _OUTAGES and not harmed and ordinary and evidence.pulse.beat_throughout(*window)


CHECKS: Final[tuple[Check, ...]] = (
    lost,
    duplicated,
    trespasses,
    differing_pictures,
    left_terminal,
    results_of_canceled,
    unexpected_failures,
    unasked_cancels,
    slow_recoveries,
    slow_drains,
    slow_cancels,
    fallen_behind,
    silent_corruption,
    taken_unjustly,
    absent_faults,
)
