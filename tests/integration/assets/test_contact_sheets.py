"""Contact sheets: made when the last job of a batch has ended, and when one is asked for that is missing."""

import io
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.background import in_background
from support.fixtures.api import PHOTO, STYLE, claim, succeed, upload
from support.retention import age_blobs, run_garbage_collection, stored_blobs
from werkzeug.test import TestResponse

from easel.models import JobState
from shared.recovery.deletion import delete_job
from shared.recovery.job_files import finalize
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.storage import keys
from worker.assets.consumer import AssetWorker
from worker.assets.contact_sheets import ContactSheetMaker
from worker.assets.sheet_layout import draw_sheet
from worker.maintenance.reaper import Reaper

Batch = dict[str, Any]


@pytest.fixture
def batch(client: FlaskClient) -> Batch:
    """Return a batch of three queued jobs."""
    photo, style = (upload(client, image).get_json()["id"] for image in (PHOTO, STYLE))
    defaults = {"content": photo, "styles": [style], "recipe": {"preset": "fast", "size": 96}}
    jobs = [{"recipe": {"seed": seed}} for seed in range(3)]
    created: Batch = client.post("/v1/batches", json={"defaults": defaults, "jobs": jobs}).get_json()
    return created


def sheet_url(batch: Batch) -> str:
    return f"{batch['urls']['self']}/contact-sheet"


def wait_for_sheet(client: FlaskClient, batch: Batch) -> TestResponse:
    """Return the sheet, once it is made."""
    deadline = time.monotonic() + 20
    while (response := client.get(sheet_url(batch))).status_code == 409:
        assert time.monotonic() < deadline, response.text
        time.sleep(0.05)
    return response


def end_jobs(services: Services, *states: JobState) -> None:
    for state in states:
        claimed = claim(services)
        if state is JobState.SUCCEEDED:
            succeed(services, claimed)
        else:
            services.ledger.end_job(claimed, state)


def test_the_sheet_is_wanted_once_the_last_job_has_ended(client: FlaskClient, services: Services, batch: Batch) -> None:
    end_jobs(services, JobState.SUCCEEDED, JobState.FAILED)
    waiting = client.get(sheet_url(batch))
    assert (waiting.status_code, waiting.get_json()["code"]) == (409, "not_ready")
    assert waiting.headers["Retry-After"] == "5"
    assert (services.contact_sheets.wanted(), services.dispatcher.pending_assets()) == ([], 0)
    client.post(f"/v1/jobs/{batch['jobs'][2]}/cancel")
    assert services.contact_sheets.wanted() == [batch["id"]]
    reaper = Reaper(services)
    reaper.make_contact_sheets()
    reaper.make_contact_sheets()
    assert client.get(sheet_url(batch)).headers["Retry-After"] == "2"
    assert services.dispatcher.pending_assets() == 1, "the task is sent once"


def test_the_sheet_is_an_image_in_each_format(client: FlaskClient, services: Services, batch: Batch) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 2, JobState.FAILED)
    with in_background(AssetWorker(services).run):
        Reaper(services).make_contact_sheets()
        response = wait_for_sheet(client, batch)
    assert client.get(batch["urls"]["self"]).get_json()["urls"]["contact_sheet"] == sheet_url(batch)
    assert (response.status_code, response.mimetype) == (200, "image/png")
    sheet = Image.open(io.BytesIO(response.data))
    colors = {color: count for count, color in sheet.convert("RGB").getcolors(2**20) or []}
    assert colors[90, 90, 90] == 2 * 96 * 64, "two results"
    assert services.contact_sheets.wanted() == []
    again = client.get(sheet_url(batch), headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    jpeg = client.get(f"{sheet_url(batch)}?format=jpeg&quality=80")
    assert Image.open(io.BytesIO(jpeg.data)).size == sheet.size
    assert client.get(sheet_url(batch), headers={"Accept": "image/webp"}).mimetype == "image/webp"
    assert client.get(sheet_url(batch), headers={"Accept": "text/html"}).status_code == 406


def test_a_deleted_job_is_on_no_sheet(client: FlaskClient, services: Services, batch: Batch) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    maker = ContactSheetMaker(services)
    maker.make(batch["id"])
    before = client.get(sheet_url(batch))
    assert client.delete(f"/v1/jobs/{batch['jobs'][0]}").status_code == 204
    assert stored_blobs(services, keys.contact_sheets_prefix(batch["id"])) == {}
    assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
    maker.make(batch["id"])
    after = client.get(sheet_url(batch))
    assert after.headers["ETag"] != before.headers["ETag"]
    assert len(stored_blobs(services, keys.contact_sheets_prefix(batch["id"]))) == 1


def test_a_batch_without_results_has_no_sheet(client: FlaskClient, services: Services, batch: Batch) -> None:
    status = client.post(batch["urls"]["cancel"]).get_json()
    assert status["urls"]["contact_sheet"] is None
    ContactSheetMaker(services).make(batch["id"])
    assert services.contact_sheets.wanted() == []
    assert client.get(sheet_url(batch)).get_json()["code"] == "wrong_state"


def test_a_result_that_cannot_be_read_does_not_prevent_the_sheet(
    client: FlaskClient, services: Services, batch: Batch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    broken, missing = (services.ledger.get(job_id).result or "" for job_id in batch["jobs"][:2])
    services.blobs.put(broken, b"\x89PNG\r\n\x1a\n", content_type="image/png")
    services.blobs.delete(missing)
    ContactSheetMaker(services).make(batch["id"])
    assert client.get(sheet_url(batch)).status_code == 200


def test_the_sheet_outlives_redis_and_goes_with_the_batch(
    client: FlaskClient, services: Services, batch: Batch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    for job_id in batch["jobs"]:
        finalize(services.ledger, services.blobs, job_id)
    ContactSheetMaker(services).make(batch["id"])
    before = client.get(sheet_url(batch)).data
    services.ledger._redis.flushall()
    rebuild_ledger(services)
    assert client.get(sheet_url(batch)).data == before
    age_blobs(services)
    run_garbage_collection(services)
    assert client.get(sheet_url(batch)).data == before
    assert client.delete(batch["urls"]["self"]).status_code == 204
    assert stored_blobs(services, "batches/") == {}


def test_a_failure_is_not_repeated_at_each_request(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", lambda *_: 1 // 0)
    Reaper(services).make_contact_sheets()
    ContactSheetMaker(services).make(batch["id"])
    assert services.contact_sheets.wanted() == []
    for _ in range(2):
        assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
    assert services.dispatcher.pending_assets() == 1, "only the task that failed was sent"


@pytest.mark.parametrize("late", [False, True], ids=["before it is stored", "after the record is deleted"])
def test_a_job_that_is_deleted_while_the_sheet_is_made_is_on_none(
    services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    maker, ledger = ContactSheetMaker(services), services.ledger
    if late:  # the sheet is stored between the deletion of the others and that of the record
        delete = ledger.delete

        def make_and_delete(job_id: str) -> None:
            maker.make(batch["id"])
            delete(job_id)

        monkeypatch.setattr(ledger, "delete", make_and_delete)
        delete_job(services, batch["jobs"][0])
    else:

        def delete_and_draw(*args: Any) -> Image.Image:
            delete_job(services, batch["jobs"][0])
            return draw_sheet(*args)

        monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", delete_and_draw)
        maker.make(batch["id"])
    assert stored_blobs(services, keys.contact_sheets_prefix(batch["id"])) == {}


def test_sheets_are_made_one_at_a_time_and_hold_no_other_thread(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    maker, others = ContactSheetMaker(services), [submit_batch(client) for _ in range(2)]

    def draw(*args: Any) -> Image.Image:
        monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", draw_sheet)
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(maker.make, [other["id"] for other in others]))
        assert services.dispatcher.pending_assets() == 0
        return draw_sheet(*args)

    end_jobs(services, *[JobState.SUCCEEDED] * 5)
    monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", draw)
    maker.make(batch["id"])
    assert client.get(sheet_url(batch)).status_code == 200
    assert services.dispatcher.pending_assets() == 1, "the next is sent again"
    for other in others:
        assert services.contact_sheets.wanted()
        maker.make(other["id"])
        assert client.get(sheet_url(other)).status_code == 200
    assert services.contact_sheets.wanted() == []


def submit_batch(client: FlaskClient) -> Batch:
    """Submit a batch of one job."""
    photo, style = (upload(client, image).get_json()["id"] for image in (PHOTO, STYLE))
    body = {"jobs": [{"content": photo, "styles": [style], "recipe": {"preset": "fast", "size": 96}}]}
    created: Batch = client.post("/v1/batches", json=body).get_json()
    return created
