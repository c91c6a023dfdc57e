"""Measures the bytes that each tenant stores, for its quota (shared/tenants/stored_bytes.py)."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Final

import structlog

from shared.errors import StorageUnavailable
from shared.jobs.job import JobRequest
from shared.services import Services
from shared.storage import BlobStore, keys
from shared.tenants.quotas import list_quotas

log = structlog.get_logger(__name__)

_JOBS_AT_ONCE: Final = 100


def measure_stored_bytes(services: Services) -> Iterator[None]:
    """Measure the bytes of all tenants, if any tenant has a quota of them. Raises LedgerUnavailable.

    A job's files are its tenant's. An input that several jobs use counts once for each tenant whose jobs or uploads
    refer to it. Works in small parts, as garbage collection does. What is stored or deleted meanwhile may count or not,
    until the next measurement.
    """
    try:
        if _any_quota(services):
            stored = Counter[str]()
            yield from _measure(services, stored)
            services.stored_bytes.replace(stored)
    except StorageUnavailable as error:
        log.warning("stored_bytes_not_measured", detail=error.detail)


def _any_quota(services: Services) -> bool:
    own = (quotas for _, quotas in list_quotas(services.blobs))
    return bool(services.settings.tenant_stored_bytes) or any(quotas.stored_bytes for quotas in own)


def _measure(services: Services, stored: Counter[str]) -> Iterator[None]:
    blobs = services.blobs
    sizes = {blob.key: blob.size for blob in blobs.list("inputs/")}
    inputs = defaultdict[str, set[str]](set)  # by tenant
    for blob in blobs.list(keys.IMAGES_PREFIX):
        inputs[keys.tenant_of_image(blob.key)].add(keys.image_of(blob.key))
    for jobs in _job_sizes(blobs):
        for job in services.ledger.get_many(list(jobs)):
            stored[job.tenant] += jobs[job.id]
            inputs[job.tenant] |= _inputs(job.request)
        yield None
    for tenant, used in inputs.items():
        stored[tenant] += sum(sizes.get(key, 0) for key in used)


def _job_sizes(blobs: BlobStore) -> Iterator[Counter[str]]:
    """Yield the bytes of jobs by ID, for some of the jobs at a time."""
    jobs = Counter[str]()
    for blob in blobs.list("jobs/"):
        job_id = blob.key.split("/")[1]
        if job_id not in jobs and len(jobs) == _JOBS_AT_ONCE:
            yield jobs
            jobs = Counter[str]()
        jobs[job_id] += blob.size
    yield jobs


def _inputs(request: JobRequest) -> set[str]:
    hashes = request.content, *request.styles, request.init_image, *request.content_masks
    return {keys.input_image(sha256) for sha256 in hashes if sha256}
