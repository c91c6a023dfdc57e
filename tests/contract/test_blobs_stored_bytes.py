"""The bytes of a tenant, measured in each blob store."""

from dataclasses import replace

import pytest
from support.fixtures.api import image_file
from support.retention import add_queued_job, add_succeeded_job

from shared.inputs.input_images import decode_image
from shared.inputs.uploaded import UploadedImages
from shared.services import Services
from shared.storage import BlobStore, keys
from shared.tenants.quotas import Quotas, store_quotas
from worker.maintenance import stored_bytes


def test_a_tenant_stores_the_files_of_its_jobs_its_uploads_and_each_input_once(
    blobs: BlobStore, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_bytes, "_JOBS_AT_ONCE", 2)
    services = replace(services, blobs=blobs)
    store_quotas(blobs, "acme", Quotas(stored_bytes=10**9))
    image = decode_image(image_file(), 10**6)
    for tenant in ("acme", "other"):
        UploadedImages(blobs, tenant, 60).add(image)
    jobs = {
        "acme": [add_queued_job(services, content, tenant="acme") for content in ("photo", "other", "photo")],
        "default": [add_succeeded_job(services), add_succeeded_job(services)],
    }
    parts = list(stored_bytes.measure_stored_bytes(services))
    assert len(parts) == 3, "two jobs at a time"
    files = {
        tenant: sum(blob.size for job_id in ids for blob in blobs.list(keys.job_prefix(job_id)))
        for tenant, ids in jobs.items()
    }
    assert image.png
    uploaded, of_job = len(image.png), len(b"an image")
    assert services.stored_bytes.all() == {
        "acme": files["acme"] + 3 * of_job + uploaded,
        "default": files["default"] + 2 * of_job,
        "other": uploaded,
    }
