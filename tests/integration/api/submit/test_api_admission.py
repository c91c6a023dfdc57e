"""Admission: jobs that are too large for all live workers are refused, with the size that fits."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit, worker_info

from shared.jobs.estimate import MemoryKind, peak_memory
from shared.presets import resolve
from shared.services import Services
from shared.storage import keys

LARGE = {"preset": "default", "size": 2048}
SENT = json.dumps(LARGE)


def peak(kind: MemoryKind = "host", **fields: Any) -> int:
    """Return the predicted peak for the images of the `submit` fixture."""
    return peak_memory(resolve(fields), 96, 64, others=[96 * 64], kind=kind)


@pytest.fixture
def add_workers(services: Services) -> Callable[..., None]:
    """Return a function that registers workers with these amounts of memory."""

    def add(*memories: int, tiers: tuple[str, ...] = ("standard", "batch"), kind: MemoryKind = "host") -> None:
        for memory in memories:
            info = worker_info(name=f"{tiers[0]}-{kind}-{memory}", memory_bytes=memory, memory_kind=kind, tiers=tiers)
            services.queue_stats.register_worker(info)

    return add


AddWorkers = Callable[..., None]
Kept = Callable[[], object]


def test_a_job_too_large_for_all_workers_is_refused_with_the_size_that_fits(
    submit: Submit, add_workers: AddWorkers, stored_data: Kept
) -> None:
    room = peak(size=1024)
    add_workers(room, room - 1)
    before = stored_data()
    response = submit(recipe=SENT, headers={"Idempotency-Key": "refused"})
    problem = response.get_json()
    assert (response.status_code, problem["code"], problem["retryable"]) == (422, "does_not_fit", False)
    assert problem["peak_memory_bytes"] == peak(**LARGE)
    assert (problem["available_memory_bytes"], problem["memory_kind"]) == (room, "host")
    assert problem["fitting_size"] == 1024
    needed, had = (f"{size / 2**30:.1f} GiB" for size in (peak(**LARGE), room))
    assert problem["detail"] == (
        f"This job needs about {needed} of memory; the largest worker has {had}. It fits at size 1024."
    )
    assert stored_data() == before


@pytest.mark.parametrize("recipe", [{"preset": "fast"}, {"preset": "tutorial"}, LARGE], ids=str)
def test_the_fitting_size_is_accepted_and_the_next_larger_one_is_refused(
    recipe: dict[str, Any], submit: Submit, add_workers: AddWorkers
) -> None:
    add_workers(peak(**{**recipe, "size": 1200}) + 1)  # a longer L-BFGS history than at 4096
    size = submit(recipe=json.dumps({**recipe, "size": 4096})).get_json()["fitting_size"]
    assert size == 1200
    assert submit(recipe=json.dumps({**recipe, "size": size + 8})).status_code == 422
    assert submit(recipe=json.dumps({**recipe, "size": size})).status_code == 202


def test_a_refusal_says_if_no_size_fits(submit: Submit, add_workers: AddWorkers) -> None:
    add_workers(1)
    problem = submit().get_json()
    assert problem["fitting_size"] is None
    assert problem["detail"].endswith("It does not fit at any size.")


def test_one_large_worker_is_enough(submit: Submit, add_workers: AddWorkers) -> None:
    add_workers(1, peak(**LARGE))
    assert submit(recipe=SENT).status_code == 202


def test_only_workers_of_the_jobs_tier_count(submit: Submit, add_workers: AddWorkers) -> None:
    add_workers(1, tiers=("standard",))
    add_workers(peak(**LARGE), tiers=("batch",))
    assert submit(recipe=SENT).status_code == 422
    assert submit(recipe=SENT, tier="batch").status_code == 202


def test_with_gpu_workers_the_gpu_memory_counts(submit: Submit, add_workers: AddWorkers) -> None:
    room = peak("gpu", size=1024)
    add_workers(room, kind="gpu")
    problem = submit(recipe=SENT).get_json()
    assert (problem["memory_kind"], problem["fitting_size"]) == ("gpu", 1024)
    assert (problem["peak_memory_bytes"], problem["available_memory_bytes"]) == (peak("gpu", **LARGE), room)
    assert "of GPU memory; the largest worker has" in problem["detail"]
    assert submit(recipe=json.dumps({**LARGE, "size": 1024})).status_code == 202


def test_a_job_fits_if_either_a_gpu_or_a_cpu_worker_has_the_memory(submit: Submit, add_workers: AddWorkers) -> None:
    add_workers(1)
    add_workers(peak("gpu", **LARGE), kind="gpu")
    assert submit(recipe=SENT).status_code == 202


def test_the_advice_is_for_the_worker_that_comes_nearest(submit: Submit, add_workers: AddWorkers) -> None:
    add_workers(peak(size=512))
    add_workers(peak("gpu", size=1024), kind="gpu")
    problem = submit(recipe=SENT).get_json()
    assert (problem["memory_kind"], problem["fitting_size"]) == ("gpu", 1024)


def test_a_job_is_accepted_if_the_workers_memory_is_unknown(
    submit: Submit, add_workers: AddWorkers, services: Services
) -> None:
    assert submit(recipe=SENT).status_code == 202, "there is no worker"
    add_workers(1, tiers=("batch",))
    assert submit(recipe=SENT).status_code == 202, "no worker serves this tier"
    add_workers(1, 0)
    assert submit(recipe=SENT).status_code == 202, "one does not state its memory"
    assert services.queue_stats.depth("standard") == 3


def test_predicted_peaks_are_stored_in_the_request_and_the_record(submit: Submit, services: Services) -> None:
    job = services.ledger.get(submit(recipe=SENT).get_json()["id"])
    stored = json.loads(services.blobs.get(keys.request(job.id)))
    assert job.peak_memory_bytes == stored["peak_memory_bytes"] == peak(**LARGE)
    assert job.peak_gpu_memory_bytes == stored["peak_gpu_memory_bytes"] == peak("gpu", **LARGE)


def test_a_replay_is_accepted_even_if_only_small_workers_are_left(submit: Submit, add_workers: AddWorkers) -> None:
    first = submit(recipe=SENT, headers={"Idempotency-Key": "once"})
    add_workers(1)
    again = submit(recipe=SENT, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.get_json()["id"]) == (202, first.get_json()["id"])


def test_a_dry_run_returns_whether_the_job_fits_and_stores_nothing(
    submit: Submit, add_workers: AddWorkers, stored_data: Kept
) -> None:
    def dry() -> tuple[bool, int | None]:
        response = submit(recipe=SENT, query="?dry_run=true")
        assert response.status_code == 200
        return response.get_json()["fits"], response.get_json()["fitting_size"]

    assert dry() == (True, None), "the memory is unknown"
    add_workers(peak(size=1024))
    before = stored_data()
    assert dry() == (False, 1024)
    assert stored_data() == before
    add_workers(peak(**LARGE))
    assert dry() == (True, None)


def test_a_quote_has_both_peaks_and_the_kind_that_counts(submit: Submit, add_workers: AddWorkers) -> None:
    def counts() -> str:
        quote = submit(recipe=SENT, query="?dry_run=true").get_json()
        assert (quote["peak_memory_bytes"], quote["peak_gpu_memory_bytes"]) == (peak(**LARGE), peak("gpu", **LARGE))
        return str(quote["memory_kind"])

    assert counts() == "host", "there is no worker"
    add_workers(peak("gpu", **LARGE), kind="gpu")
    assert counts() == "gpu"
    add_workers(2**60)
    assert counts() == "host", "the worker without a GPU has more memory"


def test_the_document_has_the_refusal_and_the_workers_memory(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert "`does_not_fit`" in document["paths"]["/v1/jobs"]["post"]["responses"]["422"]["description"]
    assert {"memory_bytes", "memory_kind"} <= set(document["components"]["schemas"]["Worker"]["properties"])


def test_the_queue_shows_each_workers_memory(client: FlaskClient, add_workers: AddWorkers) -> None:
    add_workers(2**32)
    add_workers(2**33, kind="gpu")
    workers = client.get("/v1/queue").get_json()["workers"]
    assert {(one["memory_kind"], one["memory_bytes"]) for one in workers} == {("host", 2**32), ("gpu", 2**33)}
