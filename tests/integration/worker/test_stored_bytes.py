"""The bytes that tenants store: measured by the reaper, and counted in between."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from support.retention import add_succeeded_job, fail_once, interrupt_each_call, redis_client

from deploy.local.stack import free_port
from shared.ledger.ledger import connect
from shared.recovery.deletion import delete_job
from shared.services import Services
from shared.storage import keys
from shared.tenants.quotas import Quotas, store_quotas
from shared.tenants.stored_bytes import StoredBytes
from worker.maintenance.reaper import Reaper
from worker.maintenance.stored_bytes import measure_stored_bytes


@pytest.fixture
def stored(services: Services) -> StoredBytes:
    return services.stored_bytes


def measure(services: Services) -> int:
    """Measure with a quota for everyone, and return what the default tenant stores."""
    limited = replace(services, settings=services.settings.model_copy(update={"tenant_stored_bytes": 1}))
    list(measure_stored_bytes(limited))
    return services.stored_bytes.all()["default"]


def test_concurrent_changes_add_up(stored: StoredBytes) -> None:
    stored.add("acme", 1000)  # else one that subtracts might come first, and the sum is never below zero
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda size: stored.add("acme", size), [2**40, 100, -30] * 40))
    assert stored.all() == {"acme": 1000 + 40 * (2**40 + 70)}


def test_bytes_are_never_below_zero(stored: StoredBytes) -> None:
    stored.add("acme", 10)
    stored.add("acme", -30)
    stored.add("other", -30)
    assert stored.all() == {"acme": 0}
    stored.add("acme", 5)
    assert stored.all() == {"acme": 5}


def test_a_measurement_replaces_what_was_counted(services: Services, stored: StoredBytes) -> None:
    add_succeeded_job(services)
    stored.add("gone", 10**9)
    first = measure(services)
    stored.add("default", 10**9)
    assert measure(services) == first
    assert stored.all().keys() == {"default"}


def test_a_deleted_job_no_longer_counts(services: Services) -> None:
    add_succeeded_job(services)
    one = measure(services)
    job_id = add_succeeded_job(services)
    assert measure(services) > one
    request = len(services.blobs.get(keys.request(job_id)))
    delete_job(services, job_id)
    assert services.stored_bytes.all()["default"] == one + request, "which is deleted before the other files"
    assert measure(services) == one


def test_nothing_is_measured_without_a_quota(services: Services, stored: StoredBytes) -> None:
    add_succeeded_job(services)
    list(measure_stored_bytes(services))
    assert stored.all() == {}
    store_quotas(services.blobs, "acme", Quotas(stored_bytes=1))
    list(measure_stored_bytes(services))
    assert stored.all().keys() == {"default"}, "all are measured, so that each quota can be set sensibly"


def test_an_unavailable_store_leaves_the_last_measurement(services: Services) -> None:
    add_succeeded_job(services)
    before = measure(services)
    for interrupted, _ in interrupt_each_call(services, "before", fail_once):
        assert measure(interrupted) == before


def test_the_reaper_measures_again_after_redis_lost_its_data(services: Services) -> None:
    add_succeeded_job(services)
    store_quotas(services.blobs, "default", Quotas(stored_bytes=1))
    before = measure(services)
    reaper = Reaper(services)
    redis_client(services).flushdb()
    while not services.stored_bytes.all():
        reaper.maintain()
    assert services.stored_bytes.all() == {"default": before}


def test_one_of_several_reapers_measures(stored: StoredBytes) -> None:
    assert [stored.is_due() for _ in range(3)] == [True, False, False]
    stored.request_measurement()
    assert stored.is_due()


def test_without_redis_nothing_is_refused() -> None:
    away = StoredBytes(connect(f"redis://127.0.0.1:{free_port()}/0"))
    away.check("acme", 1)
    away.add("acme", 1)
