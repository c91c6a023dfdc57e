"""Contact sheets: made when the last job of a batch has ended, and when one is asked for that is missing."""

import io
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from flask.testing import FlaskClient
from PIL import Image
from structlog.testing import capture_logs
from support.background import in_background
from support.fixtures.api import PHOTO, STYLE, claim, succeed, upload
from support.retention import age_blobs, redis_client, run_garbage_collection, stored_blobs
from werkzeug.test import TestResponse

from easel.models import JobState
from shared.errors import BrokenImage, StorageUnavailable
from shared.jobs.batch import SheetAttempts, contact_sheet_key
from shared.ledger.ledger import NAMESPACE
from shared.recovery.deletion import delete_job
from shared.recovery.job_files import finalize
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services
from shared.storage import BlobStore, keys
from worker.assets.consumer import AssetWorker
from worker.assets.contact_sheets import ContactSheetMaker
from worker.assets.sheet_layout import draw_sheet
from worker.maintenance.reaper import Reaper

Batch = dict[str, Any]


@pytest.fixture(autouse=True)
def plain_tracebacks() -> Iterator[None]:
    """Render no log lines: by default, structlog takes seconds for the variables in a traceback."""
    with capture_logs():
        yield


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


def fail_to_draw(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def draw(*_: Any) -> Image.Image:
        raise error

    monkeypatch.setattr("worker.assets.contact_sheets.draw_sheet", draw)


def fail_for_images(monkeypatch: pytest.MonkeyPatch, blobs: BlobStore, method: str) -> None:
    """Let this method of the store raise StorageUnavailable for results and sheets."""
    original = getattr(blobs, method)

    def fail(key: str, *args: Any, **options: Any) -> Any:
        if key.endswith(".png"):
            raise StorageUnavailable
        return original(key, *args, **options)

    monkeypatch.setattr(blobs, method, fail)


def attempts_stored(services: Services, batch: Batch) -> int:
    return sum(key.endswith(".json") for key in stored_blobs(services, keys.contact_sheets_prefix(batch["id"])))


def test_a_failure_is_not_repeated_at_each_request(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    Reaper(services).make_contact_sheets()
    fail_to_draw(monkeypatch, ZeroDivisionError())
    ContactSheetMaker(services).make(batch["id"])
    assert services.contact_sheets.wanted() == [batch["id"]]
    for _ in range(2):
        assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
    assert services.dispatcher.pending_assets() == 1, "only the task that failed was sent"
    lease = f"{NAMESPACE}:contact_sheet:{batch['id']}"
    assert 0 < redis_client(services).ttl(lease) <= 30, "and it is sent again soon"


@pytest.mark.parametrize(
    ("error", "reason"),
    [(BrokenImage("The file is broken."), "The file is broken."), (MemoryError("0x7f"), "MemoryError.")],
    ids=["of the service", "of a library"],
)
def test_the_third_failure_is_final_and_says_why(
    client: FlaskClient,
    services: Services,
    batch: Batch,
    monkeypatch: pytest.MonkeyPatch,
    *,
    error: Exception,
    reason: str,
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    fail_to_draw(monkeypatch, error)
    maker = ContactSheetMaker(services)
    for _ in range(3):
        assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
        assert client.get(batch["urls"]["self"]).get_json()["contact_sheet_error"] is None
        maker.make(batch["id"])
    assert services.contact_sheets.wanted() == []
    problem = client.get(sheet_url(batch))
    assert (problem.status_code, problem.get_json()["code"]) == (409, "contact_sheet_failed")
    assert "Retry-After" not in problem.headers
    detail = f"The contact sheet could not be made in 3 attempts; the reaper's log has the details. {reason}"
    shown = client.get(batch["urls"]["self"]).get_json()["contact_sheet_error"]
    assert shown == {"code": "contact_sheet_failed", "detail": detail}
    assert problem.get_json()["detail"] == detail
    assert services.contact_sheets.wanted() == [], "a request does not have it tried again"


def test_the_status_does_not_need_what_is_stored_about_the_sheet(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 2)
    read = services.blobs.get

    def get(key: str) -> bytes:
        if key.startswith(keys.contact_sheets_prefix(batch["id"])):
            raise StorageUnavailable
        return read(key)

    monkeypatch.setattr(services.blobs, "get", get)
    canceled = client.post(batch["urls"]["cancel"])
    assert (canceled.status_code, canceled.get_json()["counts"]["canceled"]) == (202, 1)
    status = client.get(batch["urls"]["self"])
    assert (status.status_code, status.get_json()["contact_sheet_error"]) == (200, None)
    sheet = client.get(sheet_url(batch))
    assert (sheet.status_code, sheet.get_json()["code"]) == (503, "storage_unavailable")


def test_a_sheet_that_failed_is_tried_again_when_a_job_is_deleted(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    maker = ContactSheetMaker(services)
    with monkeypatch.context() as patch:
        fail_to_draw(patch, ZeroDivisionError())
        for _ in range(3):
            maker.make(batch["id"])
    maker.make(batch["id"])
    assert client.get(sheet_url(batch)).get_json()["code"] == "contact_sheet_failed", "no fourth attempt"
    assert client.delete(f"/v1/jobs/{batch['jobs'][0]}").status_code == 204
    assert client.get(batch["urls"]["self"]).get_json()["contact_sheet_error"] is None
    assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
    maker.make(services.contact_sheets.wanted()[0])
    assert client.get(sheet_url(batch)).status_code == 200


def test_a_sheet_whose_making_kills_the_process_fails_too(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    for error in (ZeroDivisionError(), SystemExit(), SystemExit()):  # nothing is done after those, as after SIGKILL
        fail_to_draw(monkeypatch, error)
        with suppress(SystemExit):
            ContactSheetMaker(services).make(batch["id"])
        assert client.get(sheet_url(batch)).get_json()["code"] == "not_ready"
    ContactSheetMaker(services).make(batch["id"])
    problem = client.get(sheet_url(batch)).get_json()
    assert (problem["code"], "The last attempt did not end" in problem["detail"]) == ("contact_sheet_failed", True)
    assert services.contact_sheets.wanted() == []


def test_only_failures_of_the_sheet_itself_count_and_none_is_left_of_one_that_succeeds(
    client: FlaskClient, services: Services, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    maker = ContactSheetMaker(services)
    with monkeypatch.context() as patch:
        fail_for_images(patch, services.blobs, "get")
        for _ in range(4):
            with pytest.raises(StorageUnavailable):
                maker.make(batch["id"])
        assert attempts_stored(services, batch) == 0, "none began while results could not be read"
    with monkeypatch.context() as patch:
        fail_for_images(patch, services.blobs, "put")
        for _ in range(4):
            with pytest.raises(StorageUnavailable):
                maker.make(batch["id"])
    with monkeypatch.context() as patch:
        fail_to_draw(patch, ZeroDivisionError())
        for _ in range(2):
            maker.make(batch["id"])
    assert attempts_stored(services, batch) == 1
    maker.make(batch["id"])
    assert client.get(sheet_url(batch)).status_code == 200
    assert attempts_stored(services, batch) == 0


def test_a_damaged_record_of_attempts_counts_as_none(client: FlaskClient, services: Services, batch: Batch) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    key = contact_sheet_key(batch["id"], services.ledger.get_many(batch["jobs"])) or ""
    services.blobs.put(keys.contact_sheet_attempts(key), b'{"count": ', content_type="application/json")
    assert client.get(batch["urls"]["self"]).get_json()["contact_sheet_error"] is None
    ContactSheetMaker(services).make(batch["id"])
    assert client.get(sheet_url(batch)).status_code == 200
    assert attempts_stored(services, batch) == 0


def test_a_sheet_that_exists_has_no_error(client: FlaskClient, services: Services, batch: Batch) -> None:
    end_jobs(services, *[JobState.SUCCEEDED] * 3)
    maker = ContactSheetMaker(services)
    maker.make(batch["id"])
    key = contact_sheet_key(batch["id"], services.ledger.get_many(batch["jobs"])) or ""
    SheetAttempts(count=3, error="Of another process.").write(services.blobs, key)
    assert client.get(batch["urls"]["self"]).get_json()["contact_sheet_error"] is None
    assert client.get(sheet_url(batch)).status_code == 200
    maker.make(batch["id"])
    assert attempts_stored(services, batch) == 0


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
