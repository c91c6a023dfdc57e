"""The tenant of a job, in its record and in records that older versions wrote or Redis lost."""

from support.fixtures.ledger import TIERS, claim, request, submit

from easel.models import JobState
from shared.jobs.job import DEFAULT_TENANT, JobRequest
from shared.ledger.ledger import NAMESPACE, Claim, Ledger, connect
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.tenants.quotas import Quotas, store_quotas


def of_tenant(tenant: str) -> JobRequest:
    return request().model_copy(update={"tenant": tenant})


def test_a_record_has_the_tenant_of_its_request_for_scripts(ledger: Ledger, valkey_url: str) -> None:
    job_id = submit(ledger, of_tenant("acme"))
    assert ledger.get(job_id).tenant == "acme"
    assert connect(valkey_url).hget(f"{NAMESPACE}:job:{job_id}", "tenant") == "acme"
    assert claim(ledger).job.tenant == "acme"


def test_a_restored_job_keeps_its_tenant(ledger: Ledger, valkey_url: str) -> None:
    stored = of_tenant("acme").model_dump_json()
    request = JobRequest.model_validate_json(stored)
    assert ledger.restore(request, JobState.SUCCEEDED, completed_at=2.0)
    assert ledger.get(request.id).tenant == "acme"
    assert connect(valkey_url).hget(f"{NAMESPACE}:job:{request.id}", "tenant") == "acme"


def test_a_job_of_an_older_version_belongs_to_the_default_tenant(ledger: Ledger, valkey_url: str) -> None:
    stored = JobRequest.model_validate(request().model_dump(exclude={"tenant"}))
    job_id, client = submit(ledger, stored), connect(valkey_url)
    client.hset(f"{NAMESPACE}:job:{job_id}", "request", stored.model_dump_json(exclude={"tenant"}))
    client.hdel(f"{NAMESPACE}:job:{job_id}", "tenant")
    assert ledger.get(job_id).tenant == DEFAULT_TENANT == "default"


def claim_up_to(ledger: Ledger, limit: int) -> str | None:
    """Claim the next job, for a worker whose settings have this limit; return its tenant."""
    claimed = ledger.claim("w", TIERS, lease_seconds=60, running_limit=limit)
    return claimed.job.tenant if claimed else None


def test_jobs_of_a_tenant_at_its_limit_of_running_jobs_wait_and_others_are_claimed(ledger: Ledger) -> None:
    first, waiting, other = (submit(ledger, of_tenant(tenant)) for tenant in ("acme", "acme", "beta"))
    assert [claim_up_to(ledger, 1) for _ in range(3)] == ["acme", "beta", None]
    assert [ledger.get(job_id).state for job_id in (first, waiting, other)] == ["running", "queued", "running"]
    ledger.end_job(Claim(ledger.get(first), ledger.get(first).claim or ""), JobState.SUCCEEDED)
    assert claim_up_to(ledger, 1) == "acme"
    assert ledger.get(waiting).state is JobState.RUNNING


def test_the_limit_of_a_tenant_replaces_the_default(ledger: Ledger) -> None:
    for tenant in ("acme", "acme", "beta", "beta"):
        submit(ledger, of_tenant(tenant))
    ledger.set_running_limit("acme", 0)
    assert sorted(filter(None, (claim_up_to(ledger, 1) for _ in range(4)))) == ["acme", "acme", "beta"]
    ledger.set_running_limit("beta", 2)
    submit(ledger, of_tenant("acme"))
    ledger.set_running_limit("acme", None)
    assert [claim_up_to(ledger, 1) for _ in range(2)] == ["beta", None]


def test_a_rebuild_restores_limits_of_running_jobs(services: Services) -> None:
    store_quotas(services.blobs, "acme", Quotas(running_jobs=1))
    services.ledger._redis.flushall()
    rebuild_ledger(services)
    for _ in range(2):
        submit(services.ledger, of_tenant("acme"))
    assert [claim_up_to(services.ledger, 0) for _ in range(2)] == ["acme", None]
