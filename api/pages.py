"""The pages for people: plain files out of the folder `page`, read once. What is not among them does not exist."""

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field

from api.schema import Answer, Query, operation
from shared.errors import NotFound

routes = Blueprint("pages", __name__)

_FOLDER: Final = Path(__file__).parent / "page"
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
    media_type: str
    etag: str


class PageQuery(Query):
    """Read by the page itself."""

    model_config = ConfigDict(extra="ignore")

    job: str | None = Field(default=None, description="The job to open.")


@routes.get("/")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=PageQuery)
def studio(query: PageQuery) -> Response:  # noqa: ARG001 - the page reads it
    """Submit a job and watch the picture emerge."""
    return _serve("studio.html")


@routes.get("/queue")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=PageQuery)
def queue(query: PageQuery) -> Response:  # noqa: ARG001 - the same
    """See who waits, who works, and how fast."""
    return _serve("queue.html")


@routes.get("/gallery")
@operation(Answer(200, "A page.", media="text/html", headers=("ETag",)), query=PageQuery)
def gallery(query: PageQuery) -> Response:  # noqa: ARG001 - the same
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
    response = Response(file.data, mimetype=file.media_type, headers=headers)
    response.set_etag(file.etag)
    response.make_conditional(request)
    return response


def _read() -> dict[str, _File]:
    paths = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(_FOLDER).as_posix(): _file(path) for path in paths}


def _file(path: Path) -> _File:
    data = path.read_bytes()
    return _File(data, _TYPES[path.suffix], hashlib.sha256(data).hexdigest()[:32])


_FILES: Final = _read()
