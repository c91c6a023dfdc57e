"""What sets the jobs of a batch apart: metadata, images and fields of the recipe that are not all the same."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.jobs.job import JobRequest
from shared.presets import PRESETS

Fact = tuple[str, str]
"""A name, and a value: ("size", "384"), or ("photo", "harbor.jpg")."""


def captions(requests: Sequence[JobRequest]) -> list[list[Fact]]:
    """Return the facts about each job that are not true of all of them."""
    columns = [column for column in _columns(requests) if len(set(column.values)) > 1]
    shown = [column for column in columns if not column.optional or not _implied(column, columns)]
    return [[(column.name, value) for column in shown if (value := column.values[row])] for row in range(len(requests))]


def common_facts(requests: Sequence[JobRequest]) -> list[Fact]:
    """Return the preset and the size, if all jobs have the same."""
    recipes = [request.recipe for request in requests]
    facts = {"preset": {str(one.preset) for one in recipes}, "size": {str(one.size) for one in recipes}}
    return [(name, value) for name, values in facts.items() for value in values if len(values) == 1]


class _Column:
    """A fact of each job, "" where there is none. `optional` if names in the metadata may say as much."""

    def __init__(self, name: str, values: Iterable[str], *, optional: bool = False) -> None:
        self.name, self.values, self.optional = name, list(values), optional


def _columns(requests: Sequence[JobRequest]) -> list[_Column]:
    keys = dict.fromkeys(key for request in requests for key in request.metadata)
    named = [_Column(key, (request.metadata.get(key, "") for request in requests)) for key in keys]
    images = [
        _Column("photo", _numbers([_content(request) for request in requests]), optional=True),
        _Column("style", _numbers([_styles(request) for request in requests]), optional=True),
        _Column("masks", _numbers([request.content_masks for request in requests]), optional=True),
        _Column("start image", _numbers([request.init_image for request in requests]), optional=True),
    ]
    preset = _Column("preset", (str(request.recipe.preset) for request in requests), optional=True)
    return [*named, *images, preset, *_recipe_columns(requests)]


def _recipe_columns(requests: Sequence[JobRequest]) -> list[_Column]:
    """Return the fields in which jobs differ, other than by their presets."""
    recipes = [_flat(request.recipe.model_dump(mode="json")) for request in requests]
    presets = [
        _flat(PRESETS[name].model_dump(mode="json")) if (name := r.recipe.preset) in PRESETS else {} for r in requests
    ]
    pairs = list(zip(recipes, presets, strict=True))
    names = [n for n in dict.fromkeys(n for one in recipes for n in one) if any(a.get(n) != b.get(n) for a, b in pairs)]
    return [_Column(name.replace("_", " "), (_text(one.get(name)) for one in recipes)) for name in names]


def _implied(column: _Column, columns: Sequence[_Column]) -> bool:
    """Return whether metadata, such as the names of files, says as much."""
    return any(
        len(set(zip(other.values, column.values, strict=True))) == len(set(other.values))
        for other in columns
        if not other.optional and "" not in other.values
    )


def _content(request: JobRequest) -> str:
    return request.sources.content if request.sources else request.content


def _styles(request: JobRequest) -> tuple[str, ...]:
    return request.sources.styles if request.sources else request.styles


def _numbers(values: Sequence[Any]) -> list[str]:
    """Return 1 for the first value, 2 for the next other one, and so on."""
    numbers = {value: str(number) for number, value in enumerate(dict.fromkeys(values), start=1)}
    return [numbers[value] if value else "" for value in values]


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = dict[str, Any]()
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "preset":
            flat[f"{prefix}{name}"] = value
    return flat


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)
