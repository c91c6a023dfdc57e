"""The tenant of a job, in its record and in records that older versions wrote or Redis lost."""

from support.fixtures.ledger import claim, request, submit

from easel.models import JobState
from shared.jobs.job import DEFAULT_TENANT, JobRequest
from shared.ledger.ledger import NAMESPACE, Ledger, connect


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
