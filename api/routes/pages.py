"""The pages for people: plain files out of the folder `page`, read once. What is not among them does not exist."""

import gzip
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field

from api.http.operations import Answer, Query, operation
from shared.errors import NotFound

routes = Blueprint("pages", __name__)

_FOLDER: Final = Path(__file__).parents[1] / "web"
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Not by the machine's own table of types, which differs from one to the next."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


class _File(NamedTuple):
    data: bytes
    packed: bytes  # the same by gzip: a third of it
    media_type: str
    etag: str


class PageQuery(Query):
    """Nothing here; whatever else a link has behind the question mark does no harm."""

    model_config = ConfigDict(extra="ignore")


class StudioQuery(PageQuery):
    """Read by the page itself."""

    job: str | None = Field(default=None, description="The job to open.")
    again: str | None = Field(default=None, description="The job to load, to change it and submit it anew.")


class GalleryQuery(PageQuery):
    """Read by the page itself."""

    job: str | None = Field(default=None, description="The job to show close up.")


@routes.get("/")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=StudioQuery)
def studio(query: StudioQuery) -> Response:  # noqa: ARG001 - the page reads it
    """Submit a job and watch the picture emerge."""
    return _serve("studio.html")


@routes.get("/queue")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=PageQuery)
def queue(query: PageQuery) -> Response:  # noqa: ARG001 - it reads none
    """See who waits, who works, and how fast."""
    return _serve("queue.html")


@routes.get("/gallery")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=GalleryQuery)
def gallery(query: GalleryQuery) -> Response:  # noqa: ARG001 - the page reads it
    """See what was painted, and how."""
    return _serve("gallery.html")


@routes.get("/assets/<path:name>")
@operation(
    *(Answer(200, f"As {suffix[1:]}.", media=media, headers=("ETag",)) for suffix, media in _TYPES.items()),
    errors=(NotFound,),
)
def asset(name: str) -> Response:
    """Fetch a part of a page."""
    return _serve(name)


def _serve(name: str) -> Response:
    file = _FILES.get(name)
    if file is None:
        raise NotFound(f"The pages have no part {name!r}.")
    headers = {"Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}
    packed = request.accept_encodings["gzip"] > 0
    response = Response(file.packed if packed else file.data, mimetype=file.media_type, headers=headers)
    response.vary.add("Accept-Encoding")
    if packed:
        response.content_encoding = "gzip"
    response.set_etag(f"{file.etag}-gzip" if packed else file.etag)
    response.make_conditional(request)
    return response


def _read() -> dict[str, _File]:
    paths = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(_FOLDER).as_posix(): _file(path) for path in paths}


def _file(path: Path) -> _File:
    data = path.read_bytes()
    return _File(data, gzip.compress(data, mtime=0), _TYPES[path.suffix], hashlib.sha256(data).hexdigest()[:32])


_FILES: Final = _read()
