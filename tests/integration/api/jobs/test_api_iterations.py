"""The saved iterations of a job; the test acts as the worker."""

import io

import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import Submit, add_iteration, claim, succeed

from shared.errors import ClaimLost
from shared.jobs.saved_iterations import SavedIterations
from shared.recovery.job_files import finalize
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.storage import keys


def steps_of(client: FlaskClient, job_id: str) -> list[int]:
    return [one["step"] for one in client.get(f"/v1/jobs/{job_id}/iterations").get_json()["iterations"]]


def test_saved_iterations_are_listed_and_served_at_full_size(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    assert client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["iterations"] is None
    assert steps_of(client, job_id) == []
    claimed, saved = claim(services), SavedIterations()
    for step in (9, 18, 100):
        saved = add_iteration(services, claimed, saved, step)
    url = client.get(f"/v1/jobs/{job_id}").get_json()["urls"]["iterations"]
    listed = client.get(url).get_json()["iterations"]
    assert [one["step"] for one in listed] == [9, 18, 100]
    for one in listed:
        response = client.get(one["url"])
        image = Image.open(io.BytesIO(response.data))
        assert (image.format, image.size, image.getpixel((0, 0))) == ("PNG", (96, 64), (one["step"], 0, 0))
        assert f"easel-{job_id}-{one['step']:04d}.png" in response.headers["Content-Disposition"]
        cached = client.get(one["url"], headers={"If-None-Match": response.headers["ETag"]})
        assert (cached.status_code, cached.data) == (304, b"")
    assert client.get(f"{url}/10").get_json()["code"] == "not_found"
    succeed(services, claimed)
    assert "immutable" in client.get(listed[0]["url"]).headers["Cache-Control"]


def test_too_many_iterations_are_refused_with_the_field_and_the_fix(submit: Submit) -> None:
    response = submit(recipe='{"preset": "fast", "init": "content", "steps": 250, "save_every": 2}')
    assert response.status_code == 422
    (error,) = response.get_json()["errors"]
    assert error["field"] == "save_every"
    assert "125 images in 250 steps" in error["message"]
    assert "set it to 3 or more" in error["message"]


def test_a_claim_that_was_lost_changes_no_iteration(job_id: str, client: FlaskClient, services: Services) -> None:
    claimed = claim(services)
    saved = add_iteration(services, claimed, SavedIterations(), 9)
    before = client.get(f"/v1/jobs/{job_id}/iterations/9")
    services.ledger.release(claimed, place="head")
    again = claim(services)
    other = saved.with_image(9, b"as another machine renders it")
    services.blobs.put(other.key(job_id, 9), b"as another machine renders it")
    with pytest.raises(ClaimLost):
        services.ledger.renew(claimed, lease_seconds=60, iterations=other)
    after = client.get(f"/v1/jobs/{job_id}/iterations/9")
    assert (after.data, after.headers["ETag"]) == (before.data, before.headers["ETag"])
    services.ledger.renew(again, lease_seconds=60, iterations=other)
    assert client.get(f"/v1/jobs/{job_id}/iterations/9").data == b"as another machine renders it"
    assert steps_of(client, job_id) == [9]


def test_iterations_survive_the_loss_of_redis_and_are_deleted_with_their_job(
    job_id: str, client: FlaskClient, services: Services
) -> None:
    saved = add_iteration(services, claim(services), SavedIterations(), 9)
    services.ledger._redis.flushall()
    assert rebuild_ledger(services) == 1
    assert steps_of(client, job_id) == [9], "of a job that has not ended"
    claimed = claim(services)
    add_iteration(services, claimed, saved, 18)
    succeed(services, claimed)
    finalize(services.ledger, services.blobs, job_id)
    services.ledger._redis.flushall()
    assert rebuild_ledger(services) == 1
    assert steps_of(client, job_id) == [9, 18], "of a job that has ended"
    assert client.get(f"/v1/jobs/{job_id}/iterations/18").status_code == 200
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 204
    assert list(services.blobs.list(keys.job_prefix(job_id))) == []
