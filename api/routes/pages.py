"""The web pages and their assets: static files of api/web, read once at import. Any other name is a 404."""

import gzip
import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from flask import Blueprint, Response, request
from pydantic import ConfigDict, Field
from werkzeug.exceptions import HTTPException

from api.http.operations import Query, ResponseDoc, operation
from api.http.problems import http_exception_response
from shared.errors import NotFound

routes = Blueprint("pages", __name__)

_FOLDER: Final = Path(__file__).parents[1] / "web"
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
}
"""Fixed here because the operating system's table of types differs between machines."""
_HEADERS: Final = {"Cache-Control": "no-cache"}


class PageFile(NamedTuple):
    """What browsers load: the same bytes until the process ends."""

    data: bytes
    gzipped: bytes | None  # None for images, which are compressed already
    media_type: str
    etag: str


class PageQuery(Query):
    """No parameters. Unknown ones, such as trackers append to links, are ignored."""

    model_config = ConfigDict(extra="ignore")


class StudioQuery(PageQuery):
    """Read by the page's script."""

    job: str | None = Field(default=None, description="The job to show.")
    rerun: str | None = Field(default=None, description="The job whose images and recipe to load into the form.")
    init_job: str | None = Field(default=None, description="The same, to start from this job's result.")


class GalleryQuery(PageQuery):
    """Read by the page's script."""

    job: str | None = Field(default=None, description="The job to open.")
    batch: str | None = Field(default=None, description="The batch to show, instead of all jobs.")


@routes.get("/")
@operation(ResponseDoc(200, "A page.", media="text/html", headers=("ETag",)), query=StudioQuery)
def studio(query: StudioQuery) -> Response:  # noqa: ARG001 - read by the page's script
    """Show the studio, to submit a job and follow its progress."""
    return _serve("studio/studio.html")


@routes.get("/queue")
@operation(ResponseDoc(200, "A page.", media="text/html", headers=("ETag",)), query=PageQuery)
def queue(query: PageQuery) -> Response:  # noqa: ARG001 - checked by the decorator
    """Show queued jobs, running jobs and workers."""
    return _serve("queue/queue.html")


@routes.get("/gallery")
@operation(ResponseDoc(200, "A page.", media="text/html", headers=("ETag",)), query=GalleryQuery)
def gallery(query: GalleryQuery) -> Response:  # noqa: ARG001 - read by the page's script
    """Show finished images and how they were made."""
    return _serve("gallery/gallery.html")


@routes.app_errorhandler(404)
def unknown_url(error: HTTPException) -> Response:
    """Return a page to browsers, and a problem to all others."""
    accepted = ("application/problem+json", "application/json", "text/html")  # the first for those who accept any
    if request.accept_mimetypes.best_match(accepted) == "text/html":
        file = _FILES["common/not-found.html"]
        response = Response(file.data, 404, _HEADERS, mimetype=file.media_type)
    else:
        response = http_exception_response(error)
    response.vary.add("Accept")
    return response


@routes.get("/assets/<path:name>")
@operation(
    *(
        ResponseDoc(200, f"{suffix[1:].upper()} file.", media=media, headers=("ETag",))
        for suffix, media in _TYPES.items()
    ),
    errors=(NotFound,),
)
def asset(name: str) -> Response:
    """Return a script, style sheet or image of the pages."""
    return _serve(name)


def make_file(data: bytes, media_type: str) -> PageFile:
    """Return a file to serve."""
    gzipped = None if media_type == "image/webp" else gzip.compress(data, mtime=0)
    return PageFile(data, gzipped, media_type, hashlib.sha256(data).hexdigest()[:32])


def serve(file: PageFile) -> Response:
    """Return a file, compressed if the client accepts that; 304 if the client has it."""
    gzipped = file.gzipped is not None and request.accept_encodings["gzip"] > 0
    response = Response(file.gzipped if gzipped else file.data, mimetype=file.media_type, headers=_HEADERS)
    response.vary.add("Accept-Encoding")
    if gzipped:
        response.content_encoding = "gzip"
    response.set_etag(f"{file.etag}-gzip" if gzipped else file.etag)
    response.make_conditional(request)
    return response


def _serve(name: str) -> Response:
    file = _FILES.get(name)
    if file is None:
        raise NotFound(f"There is no asset {name!r}.")
    return serve(file)


def _read_files() -> dict[str, PageFile]:
    paths = sorted(path for path in _FOLDER.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(_FOLDER).as_posix(): make_file(path.read_bytes(), _TYPES[path.suffix]) for path in paths}


_FILES: Final = _read_files()
