"""Both kinds of client over the real API and the real ledger; the test does the worker's part."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from support.fake_worker import ApiProcess, Hand
from support.fixtures.api import paint
from support.fixtures.client import Connect

from api.routes.events import shown
from easel import BadInput, Conflict, Event, NotFound, Unauthorized

Submit = Callable[..., Any]


@pytest.fixture
def easel(connect: Connect, api: ApiProcess, hand: Hand) -> Iterator[Any]:
    assert hand.services.ledger.identity()
    with connect(api.url) as client:
        yield client


@pytest.fixture
def submit(easel: Any, images: list[Path]) -> Submit:
    def send(steps: int = 8) -> Any:
        return easel.submit(images[0], images[1:], {"preset": "fast", "size": 64, "steps": steps})

    return send


def test_from_two_images_to_the_picture(hand: Hand, easel: Any, submit: Submit) -> None:
    with hand.at_work(hand.paint_all):
        job = submit()
        assert job.wait().state == "succeeded"
    assert (job.state, job.progress.percentage, job.error) == ("succeeded", 100, None)
    assert job.result()[:4] == b"\x89PNG"
    assert job.provenance()["weights"]["source"] == "random"
    assert easel.get(job.id).view == job.view
    job.delete()
    with pytest.raises(NotFound, match="job_not_found"):
        job.refresh()


def test_a_job_can_be_awaited_by_its_next_change(hand: Hand, submit: Submit) -> None:
    job = submit()
    assert job.refresh(wait=0.05).state == "queued"
    with hand.at_work(lambda claim: hand.paint(claim, 1)):
        while job.refresh(wait=1).progress.current == 0:
            pass
    assert (job.state, job.progress.current) == ("running", 1)


def test_a_quote_stores_nothing(easel: Any, images: list[Path]) -> None:
    assert easel.quote(images[0], images[1], "fast").width == 256
    assert list(easel.list()) == []


def test_a_list_goes_through_all_pages(easel: Any, submit: Submit) -> None:
    jobs = [submit(steps) for steps in range(2, 7)]
    assert [job.id for job in easel.list(page=2)] == [job.id for job in reversed(jobs)]
    jobs[0].cancel()
    assert [job.id for job in easel.list("canceled")] == [jobs[0].id]


def test_a_job_is_steered(hand: Hand, submit: Submit) -> None:
    running, waiting = submit(), submit()
    claim = hand.take()
    for too_early in (running.finish, running.delete, running.result):
        with pytest.raises(Conflict):
            too_early()
    hand.paint(claim, 3)
    assert not running.finish().ended
    assert waiting.cancel().state == "canceled"
    assert waiting.cancel().ended  # as it is already
    hand.fail(claim)
    assert running.wait().error.code == running.error.code == "diverged"


def test_how_a_picture_emerged_can_be_fetched(hand: Hand, submit: Submit) -> None:
    job = submit()
    claim = hand.take()
    for early in (job.preview, job.timelapse):
        with pytest.raises(Conflict, match="not_ready"):
            early()
    assert job.previews() == []
    for step in (1, 2):
        paint(hand.services, claim, step)
    assert [preview.step for preview in job.previews()] == [1, 2]
    assert job.preview(2) == job.preview() != job.preview(1)
    assert job.timelapse()[8:12] == b"WEBP"
    with pytest.raises(NotFound, match="step 7"):
        job.preview(7)
    assert [event.data["url"] for event in islice(job.events(), 4) if event.kind == "preview"] == [
        preview.url for preview in job.previews()
    ]
    assert job.refresh().worker == "hand@test"


def test_recipes_are_told_with_their_schema(easel: Any) -> None:
    recipes = easel.recipes()
    assert recipes.presets["fast"]["size"] == 256
    assert set(recipes.knobs) <= recipes.fields["properties"].keys()


def test_bad_input_says_what_is_wrong(easel: Any, images: list[Path]) -> None:
    with pytest.raises(BadInput, match=r"^content: The file is no image.*\[not_an_image\]"):
        easel.submit(b"words", images[1])
    with pytest.raises(BadInput, match=r"^style 2: The file is no image"):
        easel.submit(images[0], [images[1], b"words"])
    with pytest.raises(BadInput) as caught:
        easel.submit(images[0], images[1], {"size": 9})
    assert caught.value.extra["errors"]


def test_a_restart_of_the_api_in_mid_stream_loses_no_event(api: ApiProcess, hand: Hand, submit: Submit) -> None:
    job = submit()
    claim, seen = hand.take(), []
    stream = job.events()

    def until(kind: str, step: int) -> None:
        for event in stream:
            seen.append(event)
            if event.kind == kind and event.data.get("progress", {}).get("current") == step:
                return

    hand.paint(claim, 1)
    until("progress", 1)
    api.stop()
    hand.paint(claim, 2)
    api.start()
    hand.paint(claim, 3)
    until("progress", 3)
    hand.succeed(claim)
    seen += stream
    told = hand.services.events.since(job.id)
    assert seen == [Event(event.id, event.kind, shown(job.id, event)) for event in told]
    assert job.wait().state == "succeeded"
    assert list(job.events(after=told[-1].id)) == []


def test_the_queue_is_told_whenever_it_changes_and_after_a_restart_of_the_api(
    api: ApiProcess, hand: Hand, easel: Any, submit: Submit
) -> None:
    changes = easel.queue_events()
    assert next(changes).tiers[0].depth == 0
    job = submit()
    assert next(look for look in changes if look.tiers[0].depth == 1).running == []
    api.stop()
    hand.paint(hand.take(), 1)
    hand.appear(job.id)
    api.start()
    look = next(look for look in changes if look.running)
    assert ([one.id for one in look.running], look.workers[0].name) == ([job.id], "hand@test")
    assert easel.queue().running[0].id == job.id
    changes.close()


def test_a_key_is_sent_where_one_is_asked_for(connect: Connect, valkey_url: str, tmp_path: Path) -> None:
    locked = ApiProcess(tmp_path, valkey_url, api_keys="right")
    locked.start()
    try:
        Hand(locked.settings)
        with connect(locked.url, "right") as easel:
            assert list(easel.list()) == []
        with connect(locked.url) as easel, pytest.raises(Unauthorized):
            easel.queue()
    finally:
        locked.stop()
