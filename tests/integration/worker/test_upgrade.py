"""Today's workers, with jobs that version 0.2.0 left in Redis and in the blob store (support/jobs_of_0_2_0.json)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from support.fixtures.worker import WorkerRig, sample_image

from easel.models import JobState
from shared.imaging.encoding import encode_canonical_png
from shared.jobs.job import DEFAULT_TENANT
from shared.ledger.ledger import NAMESPACE
from shared.recovery.rebuild import rebuild_ledger
from shared.storage import keys

JOBS: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "support/jobs_of_0_2_0.json").read_text(encoding="utf-8")
)


@pytest.fixture
def old_rig(sleep_engine_rig: WorkerRig) -> WorkerRig:
    """With a job that succeeded, and one that a worker has returned to the queue with a checkpoint."""
    redis: Any = sleep_engine_rig.services.ledger._redis
    blobs = sleep_engine_rig.services.blobs
    for state in ("succeeded", "queued"):
        record = JOBS[state]
        redis.hset(f"{NAMESPACE}:job:{record['id']}", mapping=record)
        redis.zadd(f"{NAMESPACE}:jobs", {record["id"]: 0})
        redis.zadd(f"{NAMESPACE}:jobs:{state}", {record["id"]: 0})
        blobs.put(keys.request(record["id"]), record["request"].encode())
        request = json.loads(record["request"])
        for sha256 in (request["content"], *request["styles"]):
            blobs.put(keys.input_image(sha256), encode_canonical_png(sample_image(1)))
    redis.zadd(f"{NAMESPACE}:queue:standard", {JOBS["queued"]["id"]: JOBS["queued"]["order"]})
    redis.set(f"{NAMESPACE}:order", JOBS["queued"]["order"])
    body = b"[]\n"
    checkpoint = b"easel-checkpoint 6 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
    for name in ("checkpoint", "previous_checkpoint"):
        blobs.put(JOBS["queued"][name], checkpoint)
    return sleep_engine_rig


def test_a_queued_job_of_0_2_0_starts_over_and_succeeds(old_rig: WorkerRig) -> None:
    old_rig.start_worker()
    job = old_rig.done(JOBS["queued"]["id"])
    assert (job.tenant, job.claims, job.progress.current, job.resumed_from_step) == (DEFAULT_TENANT, 2, 15, None)
    assert old_rig.warnings(job.id) == ["checkpoint_unusable"] * 2
    ledger = old_rig.services.ledger
    ledger.list_tenants()
    assert [job.id for job in ledger.list(tenant=DEFAULT_TENANT)] == [
        JOBS[state]["id"] for state in ("queued", "succeeded")
    ]


def test_jobs_of_0_2_0_are_rebuilt_from_their_files(old_rig: WorkerRig) -> None:
    ended, queued = (JOBS[state]["id"] for state in ("succeeded", "queued"))
    services = old_rig.services
    services.blobs.put(keys.final(ended), json.dumps(JOBS["final"]).encode())
    services.ledger._redis.flushdb()
    assert rebuild_ledger(services) == 2
    assert services.ledger.get(queued).checkpoint == JOBS["queued"]["checkpoint"]
    rebuilt = services.ledger.get(ended)
    assert (rebuilt.state, rebuilt.result) == (JobState.SUCCEEDED, JOBS["succeeded"]["result"])
