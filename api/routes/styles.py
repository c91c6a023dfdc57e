"""The operator's style images: a folder whose pictures the studio offers, see EASEL_STYLES_DIR."""

from pathlib import Path
from typing import Final
from urllib.parse import quote

from flask import Blueprint, Response, g
from pydantic import BaseModel, Field

from api.context import Context
from api.http.file_responses import REVALIDATE, file_operation, file_response
from api.http.operations import Query, ResponseDoc, operation
from api.http.serializers import json_response
from shared import errors
from shared.inputs.input_images import decode_to_jpeg

routes = Blueprint("styles", __name__)

_SUFFIXES: Final = {".avif", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
_MAX_STYLES: Final = 200


class StyleImage(BaseModel):
    """A picture of the operator's folder."""

    name: str = Field(description="The file's name.")
    url: str = Field(description="Path of the image.")


class StyleImages(BaseModel):
    """The pictures of the operator's folder."""

    styles: list[StyleImage] = Field(description="By name; at most 200. Empty without EASEL_STYLES_DIR.")


class StyleQuery(Query):
    """The size of a style image."""

    longest: int = Field(default=2048, ge=32, le=4096, description="The longest side has at most this many pixels.")


@routes.get("/v1/styles")
@operation(ResponseDoc(200, "The style images.", StyleImages))
def list_styles() -> Response:
    """List the style images that the operator offers."""
    return json_response(
        StyleImages(styles=[StyleImage(name=name, url=f"/v1/styles/{quote(name)}") for name in _files()])
    )


@routes.get("/v1/styles/<name>")
@file_operation(
    ResponseDoc(200, "JPEG, upright, sRGB.", media="image/jpeg", headers=("ETag",)),
    query=StyleQuery,
    errors=(errors.NotFound, errors.ServerBusy, errors.BrokenImage, errors.ImageTooLarge, errors.ImageTooSlow),
)
def get_operator_style(name: str, query: StyleQuery) -> Response:
    """Get a style image that the operator offers."""
    path = _files().get(name)
    if path is None:
        raise errors.NotFound(f"There is no style image {name!r}.")
    version = f"style-{name}-{path.stat().st_mtime_ns}-{query.longest}".encode().hex()
    return file_response(version, "image/jpeg", lambda: _scaled(version, path, query.longest), cache=REVALIDATE)


def _scaled(version: str, path: Path, longest: int) -> bytes:
    context = Context.current()
    if cached := context.thumbnails.get(version):
        return cached
    with context.decoder.slot(g.caller.name) as decode:
        jpeg = decode(decode_to_jpeg, path.read_bytes(), context.decoder.max_pixels, longest)
    return context.thumbnails.put(version, jpeg)


def _files() -> dict[str, Path]:
    folder = Context.current().settings.styles_dir
    paths = sorted(folder.iterdir()) if folder and folder.is_dir() else []
    pictures = [path for path in paths if path.suffix.lower() in _SUFFIXES and path.is_file()]
    # A name that is not UTF-8 cannot be a part of a URL: Python replaces its bytes by lone surrogates.
    encodable = [path for path in pictures if path.name.encode(errors="ignore").decode() == path.name]
    return {path.name: path for path in encodable[:_MAX_STYLES]}
