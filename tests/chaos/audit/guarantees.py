"""The guarantees for every accepted job. Each check yields a message for each violation."""

from collections.abc import Callable, Iterator
from typing import Final

from chaos.audit.evidence import Case, Evidence
from chaos.audit.job_history import Claim
from chaos.audit.timings import cancel_times, percentile, recovery_times
from chaos.clients.requests import BATCH_JOBS
from chaos.fault_log import NEXT_PUBLISHER, REDIS
from chaos.stack.engine import JobKind
from chaos.timeouts import LEASE_SECONDS
from easel.models import TERMINAL, JobState

Check = Callable[[Evidence], Iterator[str]]

_EXPECTED_CODES: Final = {JobKind.POISON: "attempts_exhausted", JobKind.OUT_OF_MEMORY: "out_of_memory"}
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
    """A job ends once, with one result, and an idempotency key identifies one job."""
    for case in evidence.cases:
        if len(case.history.ends) > 1:
            yield f"{case.name} ended {len(case.history.ends)} times: {', '.join(case.history.ends)}"
        if len(set(case.history.results)) > 1:
            yield f"{case.name} had {len(case.history.results)} results: {', '.join(case.history.results)}"
        if case.accepted.repeated_id not in {None, case.accepted.id}:
            yield f"{case.name} was submitted again with its key, and the response named {case.accepted.repeated_id}"


def stale_writes(evidence: Evidence) -> Iterator[str]:
    """No write is visible that was made after its claim had ended."""
    for case in evidence.cases:
        yield from (f"{case.name}: {message}" for message in case.history.stale_writes)
        result = case.job.result if case.job else None
        if result and not any(token in result for token in _who_may_publish(case)):
            yield f"{case.name} shows the result {result}, of a claim that may not have published it"


def _who_may_publish(case: Case) -> list[str]:
    """Return the last holder's token, or all tokens if the end was restored: any outcome may be in the blob store."""
    tokens = [claim.token for claim in case.history.claims]
    ends = [event for event in case.history.states if event.data["state"] in TERMINAL]
    restored = bool(ends) and bool(ends[0].data.get("restored"))
    return tokens if restored else tokens[-1:]


def differing_images(evidence: Evidence) -> Iterator[str]:
    """A result or saved iteration equals, byte for byte, the image of the same step in an undisturbed run."""
    for case in evidence.cases:
        job = case.job
        yield from (f"{case.name} saved another image of step {step}" for step in case.differing_iterations)
        if job is None or job.result is None:
            if job is not None and job.state is JobState.SUCCEEDED:
                yield f"{case.name} succeeded without a result"
            continue
        step = job.stopped_at_step
        if step is None or case.result_digest != case.reference_digest:
            yield f"{case.name} differs from an undisturbed run at step {step}, after {len(case.history.claims)} claims"
        elif job.state is JobState.SUCCEEDED and not job.stopped_early and step != job.request.recipe.total_steps:
            yield f"{case.name} stopped at step {step} of {job.request.recipe.total_steps} without being asked to"


def missing_iterations(evidence: Evidence) -> Iterator[str]:
    """The image of every n-th step that an ended job did is saved."""
    for case in evidence.cases:
        if case.job and case.job.stopped_at_step is not None:
            expected = filter(case.job.request.recipe.saves, range(case.job.stopped_at_step + 1))
            missing = [step for step in expected if step not in case.job.iterations.steps]
            yield from (f"{case.name} did not save the image of step {step}" for step in missing)


def changed_final_states(evidence: Evidence) -> Iterator[str]:
    """A final state that a client saw is never undone, and its result never changes."""
    for case in evidence.cases:
        ends = [state for state in case.accepted.states if state in TERMINAL]
        now = [str(case.job.state)] if case.job else []
        if len(set(ends + now)) > 1 or (ends and case.accepted.states[-1] not in TERMINAL):
            yield f"{case.name} was seen {', '.join(case.accepted.states)} and is {', '.join(now)}"
        if case.accepted.result_digest and case.result_digest != case.accepted.result_digest:
            yield f"{case.name} had another result before"


def canceled_with_result(evidence: Evidence) -> Iterator[str]:
    """A canceled job has no result."""
    for case in evidence.cases:
        if case.job and case.job.state is JobState.CANCELED and case.job.result:
            yield f"{case.name} was canceled and has the result {case.job.result}"


def unexpected_failures(evidence: Evidence) -> Iterator[str]:
    """Only jobs that kill their worker or never fit into memory fail, each with its own code."""
    for case in evidence.cases:
        if case.job is None or case.job.state not in TERMINAL:
            continue
        code = case.job.error.code if case.job.error else None
        expected = _EXPECTED_CODES.get(case.accepted.request.kind)
        if code != expected:
            message = case.job.error.detail if case.job.error else ""
            yield f"{case.name} ended {case.job.state} with {code}, not with {expected}. {message}"


def unrequested_cancels(evidence: Evidence) -> Iterator[str]:
    """Only jobs with a cancel request are canceled."""
    for case in evidence.cases:
        if case.job and case.job.state is JobState.CANCELED and case.accepted.request.behavior != "cancel":
            yield f"{case.name} was canceled without a cancel request"


def slow_recoveries(evidence: Evidence) -> Iterator[str]:
    """A killed worker's job is queued again within its lease plus 20 seconds, in 99 of 100 cases."""
    slowest = percentile(list(recovery_times(evidence)), 99) or 0
    if slowest > LEASE_SECONDS + _RECOVERY_SECONDS:
        yield f"it took {slowest} s from a kill until the job was queued again"


def silent_corruption(evidence: Evidence) -> Iterator[str]:
    """A worker that finds a broken checkpoint reports it in the job's events."""
    for at, job_id in evidence.fault_log.corrupted:
        # A restored record names the newest checkpoint in the store, which may not be the broken one.
        for case in (case for case in evidence.cases if case.accepted.id == job_id):
            resumed = [claim for claim in case.history.claims if claim.at > at and claim.outcome == "succeeded"]
            reported = any(event.data.get("code") == "checkpoint_unusable" for event in case.history.events)
            if resumed and not reported and not case.restored_during(at, resumed[0].at):
                yield f"{case.name} resumed from a broken checkpoint and did not report it"


def outdated_resumes(evidence: Evidence) -> Iterator[str]:
    """A new claim resumes from the newest checkpoint, so only steps after it are repeated."""
    for case in evidence.cases:
        yield from (f"{case.name}: {message}" for message in case.history.outdated_resumes)


def slow_drains(evidence: Evidence) -> Iterator[str]:
    """A worker exits within 15 seconds and one evaluation after SIGTERM, in 99 of 100 cases."""
    slowest = percentile(evidence.fault_log.drains, 99) or 0
    if slowest > _DRAIN_SECONDS + _MARGIN_SECONDS:
        yield f"it took {slowest} s from SIGTERM until a worker exited"


def slow_cancels(evidence: Evidence) -> Iterator[str]:
    """A cancel frees the device within 2 seconds and one evaluation, in 99 of 100 cases without a disturbance."""
    slowest = percentile([seconds for seconds, undisturbed in cancel_times(evidence) if undisturbed], 99) or 0
    if slowest > _CANCEL_SECONDS + _MARGIN_SECONDS:
        yield f"it took {slowest} s from a cancel until the device was free"


def partial_batches(evidence: Evidence) -> Iterator[str]:
    """A batch has all of its jobs, even if its client got no 202."""
    for batch, jobs in evidence.batches.items():
        if jobs != BATCH_JOBS:
            yield f"batch {batch} has {jobs} jobs"


def undelivered(evidence: Evidence) -> Iterator[str]:
    """The webhook of each job got its end."""
    acknowledged = {(delivery.job_id, delivery.event) for delivery in evidence.deliveries if delivery.acknowledged}
    for case in evidence.cases:
        if case.job and case.job.state in TERMINAL and (case.job.id, f"job.{case.job.state}") not in acknowledged:
            yield f"{case.name} ended {case.job.state}, and its webhook does not know it"


def wrong_deliveries(evidence: Evidence) -> Iterator[str]:
    """Every delivery is signed, goes to the job's tenant, and names no end but the job's."""
    cases = {case.accepted.id: case for case in evidence.cases}
    for delivery in evidence.deliveries:
        if not delivery.signed:
            yield f"{delivery.event} of {delivery.job_id} was not signed with the secret of {delivery.tenant}"
        case = cases.get(delivery.job_id)  # None for a job that was rendered although its client got no 202
        if case and case.accepted.request.tenant != delivery.tenant:
            yield f"{delivery.event} of {case.name} went to {delivery.tenant}"
        if case and case.job and delivery.event not in {"job.started", f"job.{case.job.state}"}:
            yield f"{case.name} is {case.job.state}, and its webhook got {delivery.event}"


def foreign_jobs(evidence: Evidence) -> Iterator[str]:
    """A tenant sees only its own jobs."""
    yield from evidence.foreign_jobs


def missing_faults(evidence: Evidence) -> Iterator[str]:
    """Every required fault was injected."""
    missing = [name for name in evidence.required_faults if not evidence.fault_log.faults[name]]
    yield from (f"{name} was never injected" for name in missing)


def wrong_reclaims(evidence: Evidence) -> Iterator[str]:
    """No worker loses its job only because Redis was unavailable."""
    for case in evidence.cases:
        for claim in case.history.claims:
            if claim.outcome == "lost" and _only_redis_was_disturbed(evidence, case, claim):
                yield f"{case.name} was taken from {claim.worker} at {claim.ended_at} because Redis was unavailable"


def _only_redis_was_disturbed(evidence: Evidence, case: Case, claim: Claim) -> bool:
    """Return whether an outage of Redis shortly before the loss is all that disturbed the job's holder."""
    fault_log, ended = evidence.fault_log, claim.ended_at or float("inf")
    window = ended - _GRACE_SECONDS, ended
    outages = {disturbance.fault for disturbance in fault_log.during(REDIS, *window)}
    began = claim.at - _MARGIN_SECONDS
    if fault_log.during(claim.worker, began, ended) or fault_log.during(NEXT_PUBLISHER, began, ended):
        return False
    ordinary = case.accepted.request.kind is JobKind.ORDINARY
    return bool(outages) and outages <= _OUTAGES and ordinary and evidence.stall_detector.ran_throughout(*window)


CHECKS: Final[tuple[Check, ...]] = (
    lost,
    duplicated,
    stale_writes,
    differing_images,
    missing_iterations,
    changed_final_states,
    canceled_with_result,
    unexpected_failures,
    unrequested_cancels,
    slow_recoveries,
    slow_drains,
    slow_cancels,
    outdated_resumes,
    silent_corruption,
    wrong_reclaims,
    partial_batches,
    undelivered,
    wrong_deliveries,
    foreign_jobs,
    missing_faults,
)
