"""The sync and the async client with the real API and ledger, and a fake worker."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.fake_worker import ApiProcess, FakeWorker
from support.fixtures.api import add_iteration, add_preview
from support.fixtures.client import Connect

from easel import BadInput, Conflict, JobEvent, NotFound, Unauthorized
from shared.jobs.saved_iterations import SavedIterations

Submit = Callable[..., Any]


@pytest.fixture
def easel(connect: Connect, api: ApiProcess, fake_worker: FakeWorker) -> Iterator[Any]:
    assert fake_worker.services.ledger.identity()
    with connect(api.url) as client:
        yield client


@pytest.fixture
def submit(easel: Any, images: list[Path]) -> Submit:
    def send(steps: int = 8) -> Any:
        return easel.submit(images[0], images[1:], {"preset": "fast", "init": "content", "size": 64, "steps": steps})

    return send


def _depths(queue: Any) -> list[int]:
    return [tier.depth for tier in queue.tiers]


def test_two_images_become_a_result(fake_worker: FakeWorker, easel: Any, submit: Submit) -> None:
    with fake_worker.running_next_job(fake_worker.run_to_end):
        job = submit()
        assert job.wait().state == "succeeded"
    assert (job.state, job.progress.percentage, job.error) == ("succeeded", 100, None)
    assert job.result()[:4] == b"\x89PNG"
    assert [b"CreatorTool" in job.result("jpeg", metadata=metadata) for metadata in (True, False)] == [True, False]
    assert job.provenance()["weights"]["source"] == "random"
    assert easel.get(job.id).status == job.status
    job.delete()
    with pytest.raises(NotFound, match="job_not_found"):
        job.refresh()


def test_a_job_starts_from_another_jobs_result(
    fake_worker: FakeWorker, easel: Any, submit: Submit, images: list[Path]
) -> None:
    waiting = submit()
    with pytest.raises(Conflict, match="not_ready"):
        easel.quote(images[0], images[1], "fast", init_job=waiting)
    with fake_worker.running_next_job(fake_worker.run_to_end):
        waiting.wait()
    for source in (waiting, waiting.id):
        assert easel.submit(images[0], images[1], "fast", init_job=source).status.recipe["init"] == "image"
    with pytest.raises(NotFound, match="job_not_found"):
        easel.submit(images[0], images[1], init_job="0199d3c1-5f3c-7c9a-b7a4-3f2d1c0b9a88")
    with pytest.raises(BadInput, match="too_many_images"):
        easel.submit(images[0], images[1], init_image=waiting.result(), init_job=waiting)


def test_refresh_can_wait_for_the_next_change(fake_worker: FakeWorker, submit: Submit) -> None:
    job = submit()
    assert job.refresh(wait=0.05).state == "queued"
    with fake_worker.running_next_job(lambda claim: fake_worker.report_step(claim, 1)):
        while job.refresh(wait=1).progress.current == 0:
            pass
    assert (job.state, job.progress.current) == ("running", 1)


def test_a_quote_stores_nothing(easel: Any, images: list[Path]) -> None:
    assert easel.quote(images[0], images[1], "fast").width == 256
    assert list(easel.list()) == []


def test_a_list_contains_the_jobs_of_all_pages(easel: Any, submit: Submit) -> None:
    jobs = [submit(steps) for steps in range(2, 7)]
    assert [job.id for job in easel.list(page=2)] == [job.id for job in reversed(jobs)]
    jobs[0].cancel()
    assert [job.id for job in easel.list("canceled")] == [jobs[0].id]


def test_jobs_are_canceled_and_finished(fake_worker: FakeWorker, submit: Submit) -> None:
    running, waiting = submit(), submit()
    claim = fake_worker.claim_next()
    for too_early in (running.finish, running.delete, running.result):
        with pytest.raises(Conflict):
            too_early()
    fake_worker.report_step(claim, 3)
    assert not running.finish().ended
    assert waiting.cancel().state == "canceled"
    assert waiting.cancel().ended  # as it is already
    fake_worker.fail(claim)
    assert running.wait().error.code == running.error.code == "diverged"


def test_previews_and_the_timelapse_can_be_fetched(fake_worker: FakeWorker, submit: Submit) -> None:
    job = submit()
    claim = fake_worker.claim_next()
    for early in (job.preview, job.timelapse):
        with pytest.raises(Conflict, match="not_ready"):
            early()
    assert job.previews() == []
    for step in (1, 2):
        add_preview(fake_worker.services, claim, step)
    assert [preview.step for preview in job.previews()] == [1, 2]
    assert job.preview(2) == job.preview() != job.preview(1)
    assert job.timelapse()[8:12] == b"WEBP"
    with pytest.raises(NotFound, match="step 7"):
        job.preview(7)
    assert [event.data.url for event in islice(job.events(), 4) if event.kind == "preview"] == [
        preview.url for preview in job.previews()
    ]
    assert job.refresh().worker == "fake@test"


def test_saved_iterations_can_be_fetched(fake_worker: FakeWorker, submit: Submit) -> None:
    job = submit()
    claim, saved = fake_worker.claim_next(), SavedIterations()
    assert job.iterations() == []
    for step in (3, 6):
        saved = add_iteration(fake_worker.services, claim, saved, step)
    assert [iteration.step for iteration in job.iterations()] == [3, 6]
    assert job.iteration(3).startswith(b"\x89PNG")
    assert job.iteration(3) != job.iteration(6)
    with pytest.raises(NotFound, match="step 7"):
        job.iteration(7)
    assert job.refresh().urls["iterations"] == f"/v1/jobs/{job.id}/iterations"


def test_a_share_link_is_a_whole_url_that_needs_no_key(
    api: ApiProcess, fake_worker: FakeWorker, submit: Submit
) -> None:
    job = submit()
    with pytest.raises(Conflict, match="not_ready"):
        job.share()
    fake_worker.succeed(fake_worker.claim_next())
    link = job.share(expires_in=3600, format="jpeg")
    assert link.url.startswith(f"{api.url}/v1/shared/{job.id}/result.jpeg?")
    assert httpx2.get(link.url).content[:2] == b"\xff\xd8"


def test_recipes_come_with_their_schema(easel: Any) -> None:
    recipes = easel.recipes()
    assert recipes.presets["fast"]["size"] == 256
    assert set(recipes.featured) <= recipes.fields["properties"].keys()


def test_bad_input_names_the_image_or_the_fields(easel: Any, images: list[Path]) -> None:
    with pytest.raises(BadInput, match=r"^content: The file is not an image.*\[not_an_image\]"):
        easel.submit(b"words", images[1])
    with pytest.raises(BadInput, match=r"^style 2: The file is not an image"):
        easel.submit(images[0], [images[1], b"words"])
    with pytest.raises(BadInput) as caught:
        easel.submit(images[0], images[1], {"size": 9})
    assert caught.value.extra["errors"]


def test_a_restart_of_the_api_during_a_stream_loses_no_event(
    api: ApiProcess, fake_worker: FakeWorker, submit: Submit
) -> None:
    job = submit()
    claim, received = fake_worker.claim_next(), list[JobEvent]()
    stream = job.events()

    def read_until_step(step: int) -> None:
        for event in stream:
            received.append(event)
            if event.kind == "progress" and event.data.progress.current == step:
                return

    fake_worker.report_step(claim, 1)
    read_until_step(1)
    api.stop()
    fake_worker.report_step(claim, 2)
    api.start()
    fake_worker.report_step(claim, 3)
    read_until_step(3)
    fake_worker.succeed(claim)
    received += stream
    published = fake_worker.services.events.since(job.id)
    stored = [event for event in received if event.id]  # the others are computed for the stream
    assert [(event.id, event.kind) for event in stored] == [(event.id, event.kind) for event in published]
    assert [event.data.losses.total for event in received if event.kind == "progress"] == [90, 45, 30]
    assert job.wait().state == "succeeded"
    assert list(job.events(after=published[-1].id)) == []


def test_wait_can_time_out_while_the_job_goes_on(fake_worker: FakeWorker, submit: Submit) -> None:
    job = submit()
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.05)
    with fake_worker.running_next_job(fake_worker.run_to_end):
        assert job.wait(timeout=60).state == "succeeded"


def test_the_queue_is_sent_after_each_change_and_after_a_restart_of_the_api(
    api: ApiProcess, fake_worker: FakeWorker, easel: Any, submit: Submit
) -> None:
    events = easel.queue_events()
    snapshots = (event.data for event in events)
    assert _depths(next(snapshots)) == [0, 0, 0]
    job = submit()
    assert next(queue for queue in snapshots if _depths(queue) == [0, 1, 0]).running == []
    api.stop()
    fake_worker.report_step(fake_worker.claim_next(), 1)
    fake_worker.register(job.id)
    api.start()
    queue = next(queue for queue in snapshots if queue.running)
    assert ([running.id for running in queue.running], queue.workers[0].name) == ([job.id], "fake@test")
    assert easel.queue().running[0].id == job.id
    events.close()


def test_the_api_key_is_sent(connect: Connect, valkey_url: str, tmp_path: Path) -> None:
    locked = ApiProcess(tmp_path, valkey_url, api_keys="right")
    locked.start()
    try:
        FakeWorker(locked.settings)
        with connect(locked.url, "right") as easel:
            assert list(easel.list()) == []
        with connect(locked.url) as easel, pytest.raises(Unauthorized):
            easel.queue()
    finally:
        locked.stop()


def test_an_uploaded_image_is_used_in_quotes_and_jobs(easel: Any, images: list[Path]) -> None:
    photo, style = easel.upload(images[0]), easel.upload(images[1].read_bytes())
    assert photo.id.startswith("sha256:")
    recipe = {"preset": "fast", "init": "content", "size": 64, "steps": 8}
    assert easel.quote(photo, [style.id], recipe) == easel.quote(*images[:2], recipe)
    job = easel.submit(photo, [style, images[1]], recipe, metadata={"order": "1"}, init_job=None)
    assert (job.status.style_count, job.status.metadata) == (2, {"order": "1"})
    job.cancel()
    with pytest.raises(NotFound, match=f"style 2: There is no image sha256:{'0' * 64}"):
        easel.submit(photo, [style, f"sha256:{'0' * 64}"], recipe)
    easel.delete_upload(photo)
    with pytest.raises(NotFound, match=f"There is no image {photo.id}"):
        easel.delete_upload(photo.id)


def test_a_url_is_sent_as_such(easel: Any, images: list[Path]) -> None:
    job = easel.submit("https://example.com/photo.jpg", images[1], "fast")
    assert (job.state, job.status.waiting_for) == ("queued", "inputs")
    job.cancel()
    with pytest.raises(BadInput, match="quote_of_urls"):
        easel.quote("https://example.com/photo.jpg", images[1], "fast")
