"""A job that no living worker could hold: refused at submit, with what would fit."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit, worker

from shared.jobs.estimate import MemoryKind, peak_memory
from shared.recipe import resolve
from shared.services import Services
from shared.storage import keys

LARGE = {"preset": "default", "size": 2048}
SENT = json.dumps(LARGE)


def peak(kind: MemoryKind = "host", **fields: Any) -> int:
    """Predicted for the photo and the painting of the `submit` fixture."""
    return peak_memory(resolve(fields), 96, 64, styles=[96 * 64], kind=kind)


@pytest.fixture
def employ(services: Services) -> Callable[..., None]:
    """Workers of so much memory appear; the tier that each serves may be named."""

    def appear(*memories: int, tiers: tuple[str, ...] = ("standard", "batch"), kind: MemoryKind = "host") -> None:
        for memory in memories:
            told = worker(name=f"{tiers[0]}-{kind}-{memory}", memory_bytes=memory, memory_kind=kind, tiers=tiers)
            services.queue_stats.announce(told)

    return appear


Employ = Callable[..., None]
Kept = Callable[[], object]


def test_what_no_worker_can_hold_is_refused_with_what_would_fit_and_nothing_is_stored(
    submit: Submit, employ: Employ, kept: Kept
) -> None:
    room = peak(size=1024)
    employ(room, room - 1)
    before = kept()
    answer = submit(recipe=SENT, headers={"Idempotency-Key": "refused"})
    problem = answer.get_json()
    assert (answer.status_code, problem["code"], problem["retryable"]) == (422, "does_not_fit", False)
    assert problem["peak_memory_bytes"] == peak(**LARGE)
    assert (problem["available_memory_bytes"], problem["memory_kind"]) == (room, "host")
    assert problem["fitting_size"] == 1024
    needed, had = (f"{size / 2**30:.1f} GiB" for size in (peak(**LARGE), room))
    assert problem["detail"] == (
        f"This job would need about {needed} of memory; the largest worker has {had}. At size 1024 it would fit."
    )
    assert kept() == before


@pytest.mark.parametrize("asked", [{"preset": "fast"}, {"preset": "tutorial"}, LARGE], ids=str)
def test_the_size_that_would_fit_is_taken_and_the_next_larger_one_is_not(
    asked: dict[str, Any], submit: Submit, employ: Employ
) -> None:
    employ(peak(**{**asked, "size": 1200}) + 1)  # where more of the history is kept than at 4096
    size = submit(recipe=json.dumps({**asked, "size": 4096})).get_json()["fitting_size"]
    assert size == 1200
    assert submit(recipe=json.dumps({**asked, "size": size + 8})).status_code == 422
    assert submit(recipe=json.dumps({**asked, "size": size})).status_code == 202


def test_a_worker_too_small_for_anything_is_said_to_be(submit: Submit, employ: Employ) -> None:
    employ(1)
    problem = submit().get_json()
    assert problem["fitting_size"] is None
    assert problem["detail"].endswith("It would fit at no size.")


def test_one_worker_that_is_large_enough_is_enough(submit: Submit, employ: Employ) -> None:
    employ(1, peak(**LARGE))
    assert submit(recipe=SENT).status_code == 202


def test_only_workers_of_the_jobs_own_tier_count(submit: Submit, employ: Employ) -> None:
    employ(1, tiers=("standard",))
    employ(peak(**LARGE), tiers=("batch",))
    assert submit(recipe=SENT).status_code == 422
    assert submit(recipe=SENT, tier="batch").status_code == 202


def test_on_a_gpu_the_gpus_memory_counts_and_the_refusal_says_so(submit: Submit, employ: Employ) -> None:
    room = peak("gpu", size=1024)
    employ(room, kind="gpu")
    problem = submit(recipe=SENT).get_json()
    assert (problem["memory_kind"], problem["fitting_size"]) == ("gpu", 1024)
    assert (problem["peak_memory_bytes"], problem["available_memory_bytes"]) == (peak("gpu", **LARGE), room)
    assert "of GPU memory; the largest worker has" in problem["detail"]
    assert submit(recipe=json.dumps({**LARGE, "size": 1024})).status_code == 202


def test_a_job_fits_where_either_a_gpu_or_a_machine_holds_it(submit: Submit, employ: Employ) -> None:
    employ(1)
    employ(peak("gpu", **LARGE), kind="gpu")
    assert submit(recipe=SENT).status_code == 202


def test_where_neither_holds_it_the_advice_is_for_the_one_that_comes_nearest(submit: Submit, employ: Employ) -> None:
    employ(peak(size=512))
    employ(peak("gpu", size=1024), kind="gpu")
    problem = submit(recipe=SENT).get_json()
    assert (problem["memory_kind"], problem["fitting_size"]) == ("gpu", 1024)


def test_where_nobody_can_know_the_job_is_taken(submit: Submit, employ: Employ, services: Services) -> None:
    assert submit(recipe=SENT).status_code == 202, "no worker lives"
    employ(1, tiers=("batch",))
    assert submit(recipe=SENT).status_code == 202, "none lives that serves this tier"
    employ(1, 0)
    assert submit(recipe=SENT).status_code == 202, "one does not say how much it has"
    assert services.queue_stats.depth("standard") == 3


def test_the_predicted_peaks_are_kept_with_the_request_and_the_record(submit: Submit, services: Services) -> None:
    job = services.ledger.get(submit(recipe=SENT).get_json()["id"])
    stored = json.loads(services.blobs.get(keys.request(job.id)))
    assert job.peak_memory_bytes == stored["peak_memory_bytes"] == peak(**LARGE)
    assert job.peak_gpu_memory_bytes == stored["peak_gpu_memory_bytes"] == peak("gpu", **LARGE)


def test_a_job_that_was_accepted_is_answered_again_when_only_small_workers_are_left(
    submit: Submit, employ: Employ
) -> None:
    first = submit(recipe=SENT, headers={"Idempotency-Key": "once"})
    employ(1)
    again = submit(recipe=SENT, headers={"Idempotency-Key": "once"})
    assert (again.status_code, again.get_json()["id"]) == (202, first.get_json()["id"])


def test_a_dry_run_says_whether_the_job_fits_and_keeps_nothing(submit: Submit, employ: Employ, kept: Kept) -> None:
    def dry() -> tuple[bool, int | None]:
        answer = submit(recipe=SENT, query="?dry_run=true")
        assert answer.status_code == 200
        return answer.get_json()["fits"], answer.get_json()["fitting_size"]

    assert dry() == (True, None), "nobody can know"
    employ(peak(size=1024))
    before = kept()
    assert dry() == (False, 1024)
    assert kept() == before
    employ(peak(**LARGE))
    assert dry() == (True, None)


def test_a_quote_has_both_peaks_and_says_which_of_them_counts(submit: Submit, employ: Employ) -> None:
    def counts() -> str:
        quote = submit(recipe=SENT, query="?dry_run=true").get_json()
        assert (quote["peak_memory_bytes"], quote["peak_gpu_memory_bytes"]) == (peak(**LARGE), peak("gpu", **LARGE))
        return str(quote["memory_kind"])

    assert counts() == "host", "no worker lives"
    employ(peak("gpu", **LARGE), kind="gpu")
    assert counts() == "gpu"
    employ(2**60)
    assert counts() == "host", "the machine without a GPU has more room"


def test_the_refusal_and_the_workers_memory_are_in_the_document(client: FlaskClient) -> None:
    told = client.get("/openapi.json").get_json()
    assert "`does_not_fit`" in told["paths"]["/v1/jobs"]["post"]["responses"]["422"]["description"]
    assert {"memory_bytes", "memory_kind"} <= set(told["components"]["schemas"]["WorkerInfo"]["properties"])


def test_the_queue_shows_each_workers_memory(client: FlaskClient, employ: Employ) -> None:
    employ(2**32)
    employ(2**33, kind="gpu")
    told = client.get("/v1/queue").get_json()["workers"]
    assert {(one["memory_kind"], one["memory_bytes"]) for one in told} == {("host", 2**32), ("gpu", 2**33)}
