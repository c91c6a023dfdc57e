"""Inputs of a job: images from paths, file objects or bytes, and recipes from presets, mappings or files."""

import json
import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from easel.errors import BadInput
from easel.models import UploadedImage

_ID_PREFIX: Final = "sha256:"
_REFERENCES: Final = (_ID_PREFIX, "https://", "http://")
_LISTS: Final = {"style": "styles", "style_mask": "style_masks", "content_mask": "content_masks"}
"""Parts of the form that JSON has as lists."""


class BinaryFile(Protocol):
    """A file object that was opened in binary mode."""

    def read(self) -> bytes:
        """Return all remaining bytes."""
        ...


ImageInput = bytes | str | os.PathLike[str] | BinaryFile | UploadedImage
"""An encoded image, its path, a binary file object; an uploaded image or its ID, `sha256:...`; or an https URL."""
RecipeInput = Mapping[str, Any] | str | Path | None
"""Fields of a recipe, the name of a preset, the path of a JSON file with fields, or None for the default."""


def as_list(images: ImageInput | Sequence[ImageInput]) -> Sequence[ImageInput]:
    """Return one or more images as a sequence."""
    if isinstance(images, Sequence) and not isinstance(images, str | bytes):
        return images
    return [images]


def job_body(
    images: Mapping[str, Sequence[ImageInput]], recipe: RecipeInput, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the body of `POST /v1/jobs` as options of httpx2's `build_request`; `images` are by part of the form.

    JSON if there are no files, or both files and references for one part of a form, which cannot have both. Else a
    form: base64 makes files larger.

    Raises OSError for a path that cannot be read, BadInput for such a recipe.
    """
    values = {"recipe": recipe_fields(recipe), **fields}
    kinds = [{reference(image) is None for image in part} for part in images.values()]
    if {True} in kinds and {True, False} not in kinds:
        return _form(images, {name: _text(value) for name, value in values.items() if value})
    lists = {name: [reference(image) or _base64(image) for image in part] for name, part in images.items() if part}
    sources = {_LISTS.get(name, name): part if name in _LISTS else part[0] for name, part in lists.items()}
    return {"json": sources | {name: value for name, value in values.items() if value}}


def file_form(image: ImageInput) -> dict[str, Any]:
    """Return the body of `POST /v1/images`, like `job_body`."""
    return _form({"image": [image]}, {})


def _form(images: Mapping[str, Sequence[ImageInput]], texts: Mapping[str, str]) -> dict[str, Any]:
    return {"files": [(name, _part(image)) for name, part in images.items() for image in part], "data": texts}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def reference(image: ImageInput) -> str | None:
    """Return the ID or URL of an image that is not a file."""
    if isinstance(image, UploadedImage):
        return image.id
    return image if isinstance(image, str) and image.startswith(_REFERENCES) else None


def _base64(image: ImageInput) -> dict[str, str]:
    return {"base64": b64encode(_read(image)).decode()}


def display_name(image: ImageInput, default: str) -> str:
    """Return the path as it was given, or `default` if there is none. Bytes that are not UTF-8 are replaced."""
    path = _path(image)
    return _printable(path) if path and not path.startswith(_ID_PREFIX) else default


def _part(image: ImageInput) -> tuple[str | None, str | bytes]:
    """Return file name and content; of a reference, no name and its text."""
    if known := reference(image):
        return None, known
    path = _path(image)
    name = _printable(Path(path).name) if path else ""
    return name or "image", _read(image)


def _path(image: ImageInput) -> str | None:
    if isinstance(image, bytes | UploadedImage):
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
    if isinstance(image, UploadedImage):
        raise TypeError("This image is uploaded already.")
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
