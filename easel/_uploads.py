"""Inputs of a job: images from paths, file objects or bytes, and recipes from presets, mappings or files."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from easel.errors import BadInput


class BinaryFile(Protocol):
    """A file object that was opened in binary mode."""

    def read(self) -> bytes:
        """Return all remaining bytes."""
        ...


ImageInput = bytes | str | os.PathLike[str] | BinaryFile
"""An encoded image, its path, or a binary file object."""
RecipeInput = Mapping[str, Any] | str | Path | None
"""Fields of a recipe, the name of a preset, the path of a JSON file with fields, or None for the default."""


def as_list(images: ImageInput | Sequence[ImageInput]) -> Sequence[ImageInput]:
    """Return one or more images as a sequence."""
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return images
    return [images]


def job_form(
    images: Mapping[str, Sequence[ImageInput]], recipe: RecipeInput, fields: Mapping[str, str | None]
) -> dict[str, Any]:
    """Return the multipart body of `POST /v1/jobs` as options of httpx2's `build_request`; `images` are by part.

    Raises OSError for a path that cannot be read, BadInput for such a recipe.
    """
    data = {"recipe": json.dumps(recipe_fields(recipe)), **fields}
    return {
        "files": [(name, _upload(image)) for name, part in images.items() for image in part],
        "data": {name: value for name, value in data.items() if value},
    }


def display_name(image: ImageInput, default: str) -> str:
    """Return the path as it was given, or `default` if there is none. Bytes that are not UTF-8 are replaced."""
    path = _path(image)
    return _printable(path) if path else default


def _upload(image: ImageInput) -> tuple[str, bytes]:
    """Return file name and content."""
    path = _path(image)
    name = _printable(Path(path).name) if path else ""
    return name or "image", _read(image)


def _path(image: ImageInput) -> str | None:
    if isinstance(image, bytes):
        return None
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    name = getattr(image, "name", None)  # an int for a file opened by its descriptor
    return os.fsdecode(name) if isinstance(name, str | bytes) else None


def _printable(path: str) -> str:
    return os.fsencode(path).decode(errors="replace")


def _read(image: ImageInput) -> bytes:
    """Return the image's bytes; those of a file object from its current position, to which a seekable one returns."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    seekable: Any = image if getattr(image, "seekable", bool)() else None
    position = seekable.tell() if seekable else 0
    content: Any = image.read()
    if not isinstance(content, bytes):
        raise TypeError("An image must be opened in binary mode, such as open(path, 'rb').")
    if seekable:
        seekable.seek(position)
    return content


def recipe_fields(recipe: RecipeInput) -> dict[str, Any]:
    """Return the fields of a recipe. Raises BadInput for a file that is unreadable or not a JSON object."""
    if isinstance(recipe, str):
        return {"preset": recipe}
    if not isinstance(recipe, Path):
        return dict(recipe or {})
    try:
        return dict(json.loads(recipe.read_text()))
    except OSError as error:
        fix = "give the path of a JSON file, or a preset's name"
        raise BadInput(f"{recipe} cannot be read ({error.strerror}): {fix}.", code="unreadable_recipe") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"The recipe file {recipe} is not a JSON object: {error}.", code="invalid_recipe") from error
