"""A job that no living worker could hold: refused at submit, with what would fit."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from fixtures_api import Submit, worker
from flask.testing import FlaskClient

from shared import keys
from shared.estimate import peak_memory
from shared.ports import Ports
from shared.recipe import resolve

LARGE = {"preset": "default", "size": 2048}
SENT = json.dumps(LARGE)


def peak(**fields: Any) -> int:
    """Predicted for the photo and the painting of the `submit` fixture."""
    return peak_memory(resolve(fields), 96, 64, styles=[96 * 64])


@pytest.fixture
def employ(ports: Ports) -> Callable[..., None]:
    """Workers of so much memory appear; the tier that each serves may be named."""

    def appear(*memories: int, tiers: tuple[str, ...] = ("standard", "batch")) -> None:
        for memory in memories:
            told = worker(name=f"{tiers[0]}-{memory}", memory_bytes=memory, tiers=tiers)
            ports.overview.announce(told)

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
    assert problem["available_memory_bytes"] == room
    assert problem["fitting_size"] == 1024
    needed, had = (f"{size / 2**30:.1f} GiB" for size in (peak(**LARGE), room))
    assert problem["detail"] == (
        f"This job would need about {needed}; the largest worker has {had}. At size 1024 it would fit."
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


def test_where_nobody_can_know_the_job_is_taken(submit: Submit, employ: Employ, ports: Ports) -> None:
    assert submit(recipe=SENT).status_code == 202, "no worker lives"
    employ(1, tiers=("batch",))
    assert submit(recipe=SENT).status_code == 202, "none lives that serves this tier"
    employ(1, 0)
    assert submit(recipe=SENT).status_code == 202, "one does not say how much it has"
    assert ports.overview.depth("standard") == 3


def test_the_predicted_peak_is_kept_with_the_request_and_the_record(submit: Submit, ports: Ports) -> None:
    job = ports.ledger.get(submit(recipe=SENT).get_json()["id"])
    assert job.peak_memory_bytes == job.request.peak_memory_bytes == peak(**LARGE)
    assert json.loads(ports.blobs.get(keys.request(job.id)))["peak_memory_bytes"] == peak(**LARGE)


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


def test_the_refusal_and_the_workers_memory_are_in_the_document(client: FlaskClient) -> None:
    told = client.get("/openapi.json").get_json()
    assert "`does_not_fit`" in told["paths"]["/v1/jobs"]["post"]["responses"]["422"]["description"]
    assert "memory_bytes" in told["components"]["schemas"]["WorkerInfo"]["properties"]


def test_the_queue_shows_each_workers_memory(client: FlaskClient, employ: Employ) -> None:
    employ(2**32)
    assert [one["memory_bytes"] for one in client.get("/v1/queue").get_json()["workers"]] == [2**32]
