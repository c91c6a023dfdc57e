"""When a worker counts as silent."""

import pytest

from easel.models import JobState, Progress
from shared.jobs.job import Job, JobRequest
from shared.ledger.lease import Lease
from shared.presets import resolve

REQUEST = JobRequest(id="a", tier="standard", recipe=resolve({}), content="0", styles=("1",), created_at=0, digest="2")


@pytest.mark.parametrize(
    ("lease_seconds", "heartbeat_seconds", "quiet_seconds", "is_silent"),
    [
        (60, 1, 5, False),
        (60, 1, 5.1, True),
        (60, 3, 15, False),  # five heartbeats
        (60, 3, 15.1, True),
        (600, 1, 50, False),  # a twelfth of the lease
        (600, 1, 50.1, True),
        (60, 1, 70, True),  # expired, and not reaped yet
        (None, 1, 50, False),  # claimed by an earlier version
    ],
)
def test_a_worker_is_silent_that_has_missed_five_heartbeats_and_a_twelfth_of_its_lease(
    lease_seconds: float | None, heartbeat_seconds: float, quiet_seconds: float, *, is_silent: bool
) -> None:
    job = Job(
        id="a",
        state=JobState.RUNNING,
        request=REQUEST,
        order=1,
        progress=Progress(total=1),
        lease_seconds=lease_seconds,
    )
    lease = Lease(expires_at=1000 + (lease_seconds or 60), read_at=1000 + quiet_seconds)
    assert lease.silent_since(job, heartbeat_seconds) == (1000 if is_silent else None)
