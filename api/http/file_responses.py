"""Responses with a job's files: conditional, in ranges, cached by clients and by this process (RFC 9110, 13 and 14)."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from flask import Response, request

from api.context import Context
from api.http.download_errors import PreconditionFailed, RangeNotSatisfiable
from api.http.limits import RENDER_SLOTS
from api.http.operations import ResponseDoc, View, operation
from shared.jobs.job import Job

IMMUTABLE: Final = "private, max-age=31536000, immutable"
"""Cache-Control of what never changes."""
REVALIDATE: Final = "private, no-cache"
"""Cache-Control of what may change."""
_NOT_MODIFIED: Final = 304
_PRECONDITION_FAILED: Final = 412
_PARTIAL_CONTENT: Final = 206
_ONE_RANGE: Final = re.compile(r"bytes=[ \t]*(?:(\d{1,30})-(\d{0,30})|-(\d{1,30}))[ \t]*", re.ASCII | re.IGNORECASE)
_RESERVED: Final = frozenset('<>:"/\\|?*')
"""What file names may not have on Windows, or elsewhere."""
_JOINERS: Final = "\u200c\u200d"
"""Invisible, but parts of Persian words and of emoji."""
_MAX_NAME_BYTES: Final = 200
"""Of the 255 that file systems allow, for a suffix and what browsers append."""
_HEADERS: Final = {
    "If-None-Match": "The `ETag` of the version that you have: 304 if it is still the same.",
    "Range": "One range of bytes, such as `bytes=0-1023`: 206. Several ranges return the whole file.",
    "If-Range": "The `ETag` of the part that you have: of another version, the whole file is returned.",
}


def file_operation(*responses: ResponseDoc, errors: tuple[Any, ...] = (), **options: Any) -> Callable[[View], View]:
    """Document a view that returns `file_response`, like `operation`."""
    parts = [
        ResponseDoc(_PARTIAL_CONTENT, "The bytes of `Range`.", media=doc.media, headers=(*doc.headers, "Content-Range"))
        for doc in responses
    ]
    unchanged = ResponseDoc(_NOT_MODIFIED, "The file is still the one of `If-None-Match`.", headers=("ETag",))
    errors = (*errors, PreconditionFailed, RangeNotSatisfiable)
    return operation(*responses, *parts, unchanged, errors=errors, headers=_HEADERS, **options)


def blob_response(key: str, media_type: str, *, cache: str) -> Response:
    """Return a blob as a response. Its key has a hash or the claim's token, so it always names the same bytes."""
    return file_response(key, media_type, lambda: Context.current().services.blobs.get(key), cache=cache)


def file_response(name: str, media_type: str, load: Callable[[], bytes], *, cache: str) -> Response:
    """Return the file that `load` returns, with a strong ETag made from `name`: 200, 206 or, without loading it, 304.

    Raises PreconditionFailed, RangeNotSatisfiable.
    """
    response = Response(mimetype=media_type, headers={"Cache-Control": cache, "Accept-Ranges": "bytes"})
    response.set_etag(name.replace("/", "-"))
    response.make_conditional(request)
    if response.status_code == _PRECONDITION_FAILED:
        if not request.if_match.star_tag:  # which Werkzeug overlooks: any file will do (13.1.1)
            raise PreconditionFailed
        response.status_code = 200
    if response.status_code != _NOT_MODIFIED:
        _set_body(response, load())
    return response


def _set_body(response: Response, data: bytes) -> None:
    """Set the file, or the range of it that is requested. Several ranges and other units are ignored (14.2).

    `make_conditional` of Werkzeug answers those with 416, and HEAD with 206.
    """
    one = _ONE_RANGE.fullmatch(request.headers.get("Range", "")) if request.method == "GET" else None
    if one is None or request.headers.get("If-Range", etag := response.headers["ETag"]) != etag:
        response.set_data(data)
        return
    first, last, suffix = one.groups()
    start = int(first) if first else max(0, len(data) - int(suffix))
    stop = min(len(data), int(last) + 1) if last else len(data)
    if first and last and int(first) > int(last):  # not a range
        response.set_data(data)
        return
    if start >= len(data):
        raise RangeNotSatisfiable(len(data))
    response.status_code = _PARTIAL_CONTENT
    response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    response.set_data(data[start:stop])


def name_file(response: Response, job: Job, suffix: str, *, titled: bool = True, disposition: str = "inline") -> None:
    """Name the file after the job's title, if `titled` and it has one; for clients without RFC 6266, by its ID."""
    header = f'{disposition}; filename="easel-{job.id}{suffix}"'
    if titled and (name := _file_name(job.request.metadata.get("title", ""))):
        header += f"; filename*=UTF-8''{quote(name + suffix, safe='')}"
    response.headers["Content-Disposition"] = header


def _file_name(title: str) -> str:
    """Return a title without reserved and invisible characters, which could show another ending than the file has."""
    allowed = "".join(one if one in _JOINERS or (one.isprintable() and one not in _RESERVED) else " " for one in title)
    return " ".join(allowed.split()).encode()[:_MAX_NAME_BYTES].decode(errors="ignore").strip(". " + _JOINERS)


def render_cached(name: str, blob_keys: Sequence[str], render: Callable[[Sequence[bytes]], bytes]) -> bytes:
    """Return `render` of the blobs, cached under `name`.

    Rendering takes up to seconds of CPU, so it counts as a stream. A request may wait for others that render, and then
    find its file in the cache. Blobs are read only after that, so waiting requests hold none in memory.
    """
    context = Context.current()
    if cached := context.thumbnails.get(name):
        return cached
    with context.stream_limits.hold(), RENDER_SLOTS:
        if cached := context.thumbnails.get(name):
            return cached
        return context.thumbnails.put(name, render([context.services.blobs.get(key) for key in blob_keys]))
