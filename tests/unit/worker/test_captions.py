"""What a contact sheet says about each job of a batch."""

from typing import Any

from shared.jobs.job import JobRequest
from shared.presets import resolve
from worker.assets.captions import captions, common_facts


def request(recipe: dict[str, Any] | None = None, **fields: Any) -> JobRequest:
    defaults = {"id": "a", "tier": "standard", "content": "c", "styles": ("s",), "created_at": 0, "digest": ""}
    return JobRequest.model_validate({**defaults, "recipe": resolve(recipe or {}), **fields})


def test_equal_jobs_need_no_captions() -> None:
    assert captions([request(), request()]) == [[], []]
    assert common_facts([request(), request()]) == [("preset", "default"), ("size", "384")]


def test_images_without_names_have_numbers() -> None:
    requests = [request(), request(styles=("t",)), request(content="d"), request(content_masks=("m",))]
    assert captions(requests) == [
        [("photo", "1"), ("style", "1")],
        [("photo", "1"), ("style", "2")],
        [("photo", "2"), ("style", "1")],
        [("photo", "1"), ("style", "1"), ("masks", "2")],
    ]


def test_metadata_that_names_the_images_replaces_their_numbers() -> None:
    requests = [
        request(metadata={"photo": "cat", "order": "7"}, content="c"),
        request(metadata={"photo": "cat", "order": "7"}, content="c", styles=("t",)),
        request(metadata={"photo": "dog", "order": "7"}, content="d"),
    ]
    assert captions(requests) == [
        [("photo", "cat"), ("style", "1")],
        [("photo", "cat"), ("style", "2")],
        [("photo", "dog"), ("style", "1")],
    ]


def test_the_recipes_differ_by_preset_and_by_fields_that_are_not_the_presets() -> None:
    requests = [request({"preset": "fast"}), request({"preset": "gentle"}), request({"style_weight": 40})]
    assert captions(requests) == [
        [("preset", "fast"), ("style weight", "20")],
        [("preset", "gentle"), ("style weight", "20")],
        [("preset", "default"), ("style weight", "40")],
    ]
    assert common_facts(requests) == []


def test_values_are_short() -> None:
    same = {"optimizer": {"kind": "adam", "learning_rate": 0.02}, "steps": 5}
    other = {**same, "optimizer": {"kind": "adam", "learning_rate": 0.5}}
    assert captions([request(same), request(other)]) == [
        [("optimizer.learning rate", "0.02")],
        [("optimizer.learning rate", "0.5")],
    ]
