"""Jobs that start from another job's result."""

import io
import os
import time

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import RESULT, Submit, claim, image_file, succeed

from shared.services import Services
from shared.storage import keys
from worker.maintenance.garbage_collection import DAY, delete_unused_inputs


@pytest.fixture
def source(submit: Submit, services: Services) -> str:
    """The ID of a job with a result."""
    job_id = str(submit().get_json()["id"])
    succeed(services, claim(services))
    return job_id


def test_a_job_starts_from_another_jobs_result(
    submit: Submit, client: FlaskClient, services: Services, source: str
) -> None:
    status = submit(init_job=source).get_json()
    assert status["recipe"]["init"] == "image"
    request = services.ledger.get(status["id"]).request
    assert request.style_pixels == (96 * 64, 96 * 64)  # the start image takes memory, too
    response = client.get(status["urls"]["init_image"])
    assert response.mimetype == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(response.data)))
    np.testing.assert_array_equal(pixels, np.asarray(Image.open(io.BytesIO(RESULT))))


def test_a_transparent_start_image_keeps_its_alpha(submit: Submit, client: FlaskClient) -> None:
    start = image_file((0, 0, 102, 51), mode="RGBA")
    response = client.get(submit(init_image=start).get_json()["urls"]["init_image"])
    assert Image.open(io.BytesIO(response.data)).getpixel((5, 5)) == (0, 0, 102, 51)


def test_an_upload_of_the_same_image_is_the_same_request(submit: Submit, source: str) -> None:
    headers = {"Idempotency-Key": "key"}
    first = submit(headers=headers, init_job=source)
    assert submit(headers=headers, init_image=RESULT).get_json()["id"] == first.get_json()["id"]


def test_the_start_image_survives_the_deletion_of_its_job(
    submit: Submit, client: FlaskClient, services: Services, source: str
) -> None:
    continued = submit(init_job=source).get_json()
    assert client.delete(f"/v1/jobs/{source}").status_code == 204
    assert client.get(f"/v1/jobs/{source}/result").status_code == 404
    _age_inputs(services)
    assert list(filter(None, delete_unused_inputs(services.blobs))) == []
    assert client.get(continued["urls"]["init_image"]).status_code == 200
    services.ledger.request_control(continued["id"], "cancel")
    assert client.delete(continued["urls"]["self"]).status_code == 204
    assert "leftovers_deleted" in set(delete_unused_inputs(services.blobs))  # the age was the only other condition


def _age_inputs(services: Services) -> None:
    """Make all inputs older than garbage collection spares."""
    for blob in services.blobs.list("inputs/"):
        path = services.settings.store_url.removeprefix("file://")
        os.utime(f"{path}/{blob.key}", times=(time.time() - 2 * DAY,) * 2)


def test_a_dry_run_reads_the_result(submit: Submit, source: str) -> None:
    assert submit(query="?dry_run=true", init_job=source).get_json()["recipe"]["init"] == "image"


def test_an_unknown_job_is_not_found(submit: Submit) -> None:
    for job_id, code in (("0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88", "job_not_found"), ("last", "invalid_job_id")):
        response = submit(init_job=job_id)
        assert response.status_code == 404
        problem = response.get_json()
        assert (problem["code"], problem["field"]) == (code, "init_job")


def test_a_job_whose_result_was_just_deleted_is_not_found(submit: Submit, services: Services, source: str) -> None:
    result = services.ledger.get(source).result
    assert result is not None
    services.blobs.delete(result)
    assert submit(init_job=source).get_json()["code"] == "job_not_found"


def test_a_job_without_a_result_says_whether_to_wait(submit: Submit, services: Services, job_id: str) -> None:
    problem = submit(init_job=job_id).get_json()
    assert (problem["status"], problem["code"], problem["field"]) == (409, "not_ready", "init_job")
    services.ledger.request_control(job_id, "cancel")
    problem = submit(init_job=job_id).get_json()
    assert (problem["status"], problem["code"]) == (409, "wrong_state")
    assert "was canceled" in problem["detail"]


def test_a_job_and_an_image_are_too_many(submit: Submit, source: str) -> None:
    problem = submit(init_job=source, init_image=RESULT).get_json()
    assert (problem["code"], problem["field"]) == ("too_many_images", "init_job")


def test_a_result_of_another_shape_is_refused(submit: Submit, source: str) -> None:
    problem = submit(init_job=source, content=image_file(size=(64, 64))).get_json()
    assert (problem["code"], problem["field"]) == ("invalid_shape", "init_job")


def test_another_init_is_refused(submit: Submit, source: str) -> None:
    assert submit(init_job=source, recipe='{"init": "noise"}').get_json()["code"] == "invalid_recipe"


def test_nothing_is_stored_for_a_refused_start(submit: Submit, services: Services) -> None:
    submit(init_job="0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88")
    assert [blob.key for blob in services.blobs.list() if blob.key != keys.LEDGER_IDENTITY] == []
