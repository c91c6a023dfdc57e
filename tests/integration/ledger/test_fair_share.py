"""The order of a tier: tenants share its workers by the pixel evaluations of their jobs."""

from collections import Counter
from typing import Any

import pytest
from support.fixtures.ledger import claim, submit
from support.tenants import claim_tenants, end_slice, of, progress, queued, submit_all

from easel.models import JobState
from shared.ledger.ledger import NAMESPACE, Ledger, connect


def test_the_only_job_of_a_tenant_does_not_wait_for_a_thousand_of_another(ledger: Ledger) -> None:
    submit_all(ledger, "large", 1000)
    claim(ledger)
    submit_all(ledger, "small", 1)
    assert "small" in claim_tenants(ledger, 2)


def test_tenants_take_turns_in_proportion_to_cost(ledger: Ledger) -> None:
    submit_all(ledger, "large", 4, steps=40)
    submit_all(ledger, "small", 16, steps=10)
    assert Counter(claim_tenants(ledger, 10)) == {"large": 2, "small": 8}
    assert Counter(claim_tenants(ledger, 10)) == {"large": 2, "small": 8}


def test_a_job_of_a_new_tenant_moves_queued_jobs_of_others_back(ledger: Ledger) -> None:
    first, second, third = submit_all(ledger, "large", 3)
    (small,) = submit_all(ledger, "small", 1)
    assert queued(ledger) == [first, small, second, third]


def test_jobs_with_equal_tags_are_served_in_the_order_of_their_submission(ledger: Ledger) -> None:
    ids = [submit_all(ledger, tenant, 1)[0] for tenant in "cabed"]
    assert [claim(ledger).job.id for _ in ids] == ids


def test_cost_does_not_reorder_the_jobs_of_one_tenant(ledger: Ledger) -> None:
    ids = [submit_all(ledger, "only", 1, steps)[0] for steps in (300, 1, 40, 2, 90)]
    assert [claim(ledger).job.id for _ in ids] == ids


def test_jobs_that_a_worker_of_0_2_0_has_claimed_are_not_queued_again(ledger: Ledger) -> None:
    redis: Any = ledger._redis
    for first, second in (submit_all(ledger, "only", 2), submit_all(ledger, "other", 2)):
        for claimed_by_old in (first, second):
            redis.zrem(f"{NAMESPACE}:queue:standard", claimed_by_old)
    redis.delete(f"{NAMESPACE}:job:{second}")  # it ended, and was deleted
    ids = [submit_all(ledger, tenant, 1)[0] for tenant in ("only", "other")]
    assert [claim(ledger).job.id for _ in ids] == ids
    assert queued(ledger) == []


def test_a_tenant_is_not_charged_for_jobs_that_it_canceled_while_they_were_queued(ledger: Ledger) -> None:
    submit_all(ledger, "other", 50)
    *canceled, last = submit_all(ledger, "hasty", 40, steps=100)
    claim(ledger)
    for job_id in canceled:
        ledger.request_control(job_id, "cancel")
    assert queued(ledger)[0] == last
    claimed = [claim(ledger).job for _ in range(2)]
    assert last in [job.id for job in claimed]


def test_a_tenant_is_not_charged_for_what_a_job_did_not_do(ledger: Ledger) -> None:
    submit_all(ledger, "other", 50)
    submit_all(ledger, "hasty", 2, steps=400)
    while (claimed := claim(ledger)).job.tenant != "hasty":
        pass
    ledger.request_control(claimed.job.id, "cancel")
    ledger.end_job(claimed, JobState.SUCCEEDED, progress=progress(claimed, 0.01))
    assert "hasty" in claim_tenants(ledger, 3)


def test_a_tenant_is_not_charged_for_a_job_that_returned_to_the_head_and_was_canceled(ledger: Ledger) -> None:
    submit_all(ledger, "other", 50)
    first, second = submit_all(ledger, "hasty", 2, steps=400)
    while (claimed := claim(ledger)).job.tenant != "hasty":
        pass
    end_slice(ledger, claimed, 0.01, place="head")
    ledger.request_control(first, "cancel")
    assert second in [claim(ledger).job.id for _ in range(3)]


def test_a_job_that_used_a_time_slice_is_not_settled_again_when_it_is_canceled(ledger: Ledger) -> None:
    submit_all(ledger, "other", 50)
    first, second = submit_all(ledger, "slow", 2, steps=400)
    while (claimed := claim(ledger)).job.tenant != "slow":
        pass
    end_slice(ledger, claimed, 0.5)
    ledger.request_control(first, "cancel")
    assert second not in [claim(ledger).job.id for _ in range(15)]


def test_a_tenant_is_charged_for_a_job_that_ran(ledger: Ledger) -> None:
    submit_all(ledger, "other", 50)
    submit_all(ledger, "slow", 2, steps=400)
    while (claimed := claim(ledger)).job.tenant != "slow":
        pass
    ledger.end_job(claimed, JobState.SUCCEEDED, progress=progress(claimed, 1))
    assert "slow" not in claim_tenants(ledger, 30)


def test_time_slices_of_long_jobs_are_shared_with_others_and_taken_in_turns(ledger: Ledger) -> None:
    long = submit_all(ledger, "long", 3, steps=400)
    submit_all(ledger, "short", 100, steps=10)
    done: dict[str, float] = Counter()
    order, served = list[str](), Counter[str]()
    for _ in range(90):
        claimed = claim(ledger)
        if claimed.job.tenant == "long":
            order.append(claimed.job.id)
            done[claimed.job.id] += 0.05  # 20 steps
            served["long"] += 20
            end_slice(ledger, claimed, done[claimed.job.id])
        else:
            served["short"] += 10
            ledger.end_job(claimed, JobState.SUCCEEDED, progress=progress(claimed, 1))
    assert served["long"] == pytest.approx(served["short"], abs=40)
    assert order[:9] == long * 3


def test_a_job_that_a_worker_gives_back_is_claimed_next(ledger: Ledger) -> None:
    submit_all(ledger, "one", 5)
    submit_all(ledger, "two", 5)
    for _ in range(8):
        claimed = claim(ledger)
        end_slice(ledger, claimed, 0.5, "head")
        again = claim(ledger, lease=-1)
        assert ledger.reap_expired_leases() == {claimed.job.id: JobState.QUEUED}
        assert again.job.id == claimed.job.id == claim(ledger).job.id


def test_tenants_without_queued_jobs_are_forgotten(ledger: Ledger, valkey_url: str) -> None:
    client: Any = connect(valkey_url)
    for number in range(300):
        submit_all(ledger, f"tenant {number}", 1, steps=1 + number % 7)
        submit_all(ledger, "always", 1, steps=1)
        claim(ledger)
    virtual_time = client.get(f"{NAMESPACE}:virtual_time:standard")
    assert client.zcount(f"{NAMESPACE}:share_end:standard", "-inf", virtual_time) == 0
    assert client.zcard(f"{NAMESPACE}:share_end:standard") < 200
    while ledger.claim("w", ("standard",), lease_seconds=60):
        pass
    assert client.keys(f"{NAMESPACE}:tenant_queue:*") == client.keys(f"{NAMESPACE}:share_end:*") == []


def test_a_rebuilt_queue_is_shared_fairly_and_keeps_each_tenants_order(ledger: Ledger, valkey_url: str) -> None:
    requests = [of("large", 50) for _ in range(20)] + [of("small") for _ in range(2)]
    connect(valkey_url).flushall()
    for one in requests:
        ledger.restore(one, JobState.QUEUED)
    ledger.ensure_identity("test")
    claimed = [claim(ledger).job for _ in requests]
    assert [job.id for job in claimed if job.tenant == "large"] == [one.id for one in requests[:20]]
    assert [job.tenant for job in claimed[:3]] == ["large", "small", "small"]


def test_jobs_queued_by_an_older_version_keep_their_order_before_new_ones(ledger: Ledger, valkey_url: str) -> None:
    client: Any = connect(valkey_url)
    old = [submit(ledger) for _ in range(3)]
    client.delete(f"{NAMESPACE}:tenant_queue:standard:default", f"{NAMESPACE}:virtual_time:standard")
    for number, job_id in enumerate(old, 1):
        client.zadd(f"{NAMESPACE}:queue:standard", {job_id: number})
        client.hset(f"{NAMESPACE}:job:{job_id}", "order", number)
        client.hdel(f"{NAMESPACE}:job:{job_id}", "cost", "tenant")
    new = [submit(ledger) for _ in range(2)]
    assert [claim(ledger).job.id for _ in range(5)] == old + new
