"""Multipart forms: the parts of a submission, and a single image."""

from collections.abc import Sequence
from typing import IO, Any, Final

from flask import Request, request
from pydantic import TypeAdapter, ValidationError
from werkzeug.datastructures import FileStorage
from werkzeug.formparser import FormDataParser

from api.http.submission import SubmissionParts
from shared.errors import InvalidWebhook, MalformedRequest, MissingImage, TooManyImages, UnsupportedMediaType
from shared.inputs.sources import ImageSource, parse_source
from shared.validation_messages import shorten, suggestion

_PARTS: Final = (
    *("content", "style", "style_mask", "content_mask", "init_image", "init_job"),
    *("recipe", "tier", "metadata", "webhook_url", "webhook_events"),
)
_HOW_TO_SEND: Final = "a file (curl: -F content=@photo.jpg), its ID of POST /v1/images, or an https URL"


class StrictFormRequest(Request):
    """Rejects broken forms, of which Flask would use what it can parse, and closes all files it opened."""

    def make_form_data_parser(self) -> FormDataParser:
        """Return Flask's parser, with errors raised."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def spool(self, content: bytes) -> IO[bytes]:
        """Return a file that is closed with the request, and on disk if it is large."""
        file = self._get_file_stream(len(content), None)
        file.write(content)
        file.seek(0)
        return file

    def close(self) -> None:
        """Close the request, and the files of a form that was not parsed to its end."""
        super().close()
        for stream in self.__dict__.pop("opened", ()):
            stream.close()

    def _get_file_stream(self, *args: Any, **options: Any) -> IO[bytes]:
        stream = super()._get_file_stream(*args, **options)
        self.__dict__.setdefault("opened", []).append(stream)
        return stream


def parse_form() -> SubmissionParts:
    """Return the parts of the form of the current request. Raises a subclass of BadInput."""
    _check_parts(_PARTS, example="content and style (curl: -F, not -d), or application/json")
    return SubmissionParts(
        content=_images("content"),
        styles=_images("style"),
        style_masks=_images("style_mask"),
        content_masks=_images("content_mask"),
        init_image=_images("init_image"),
        init_job=_text("init_job"),
        recipe=_recipe_text(),
        tier=" ".join(request.form.getlist("tier")) if "tier" in request.form else None,
        metadata=_text("metadata"),
        webhook_url=_text("webhook_url"),
        webhook_events=parse_events(_text("webhook_events")),
        how_to_send=_HOW_TO_SEND,
    )


def _check_parts(known: Sequence[str], *, example: str) -> None:
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaType(f"Send multipart/form-data with {example}.")
    try:
        names = [*request.files, *request.form]
    except ValueError as error:
        raise MalformedRequest(f"The multipart body is malformed: {error}.") from error
    unknown = sorted(str(name) for name in set(names) - set(known))  # a part may lack a name
    if unknown:
        hint = suggestion(unknown[0], known) or "."
        raise MalformedRequest(f"Unknown form part {shorten(unknown[0])!r}{hint} Known parts: {', '.join(known)}.")


def parse_image() -> FileStorage:
    """Return the file in the form of the current request. Raises a subclass of BadInput."""
    _check_parts(("image",), example="an image (curl: -F image=@photo.jpg)")
    files = request.files.getlist("image")
    if not files:
        raise MissingImage("Send an image as a file (curl: -F image=@photo.jpg).", field="image")
    if len(files) > 1:
        raise TooManyImages(f"Send one image, not {len(files)}.", field="image")
    return files[0]


def _images(name: str) -> list[ImageSource]:
    """Return the images of a part: files, or IDs and URLs as text. Raises MissingImage, MalformedRequest."""
    files, texts = request.files.getlist(name), request.form.getlist(name)
    if files and texts:
        raise MalformedRequest(f"Send all {name} parts as files, or all as IDs and URLs: their order would be lost.")
    references = [reference for text in texts if (reference := parse_source(text.strip()))]
    if len(references) < len(texts):
        raise MissingImage(
            f"{name} was sent as text that is neither the ID of an image nor a URL. Send {_HOW_TO_SEND}.", field=name
        )
    return [*files, *references]


def _recipe_text() -> str:
    """Return the recipe, which is sent as text or as a file."""
    texts = request.form.getlist("recipe")
    for file in request.files.getlist("recipe"):
        try:
            texts.append(file.read().decode())
        except UnicodeDecodeError as error:
            raise MalformedRequest("The recipe is not UTF-8.") from error
    if len(texts) > 1:
        raise MalformedRequest(f"Send one recipe, not {len(texts)}.")
    return texts[0] if texts else ""


def parse_events(text: str) -> list[str]:
    """Return the names in a JSON array, or separated by commas. Raises InvalidWebhook."""
    if not text.startswith("["):
        return [name.strip() for name in text.split(",") if name.strip()]
    try:
        return TypeAdapter(list[str]).validate_json(text)
    except ValidationError as error:
        errors = [{"field": "webhook_events", "message": "not a JSON array of strings"}]
        raise InvalidWebhook('webhook_events must be a JSON array such as ["job.succeeded"].', errors=errors) from error


def _text(name: str) -> str:
    """Return an optional text part, "" if it is omitted. Raises MalformedRequest."""
    texts = request.form.getlist(name)
    if len(texts) > 1 or name in request.files:
        raise MalformedRequest(f"Send {name} once, as text (curl: -F {name}=...).")
    return texts[0].strip() if texts else ""
