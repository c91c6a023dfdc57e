"""Responses with a job's files, which clients and this process cache."""

from collections.abc import Callable, Sequence
from typing import Final

from flask import Response, request

from api.context import Context
from api.http.limits import render_slot

IMMUTABLE: Final = "private, max-age=31536000, immutable"
"""Cache-Control of what never changes."""
NOT_MODIFIED: Final = 304


def blob_response(key: str, media_type: str, *, cache: str) -> Response:
    """Return a blob as a response. Its key has a hash or the claim's token, so it always names the same bytes."""
    response = conditional_response(key, media_type, cache=cache)
    if response.status_code != NOT_MODIFIED:
        response.set_data(Context.current().services.blobs.get(key))
    return response


def conditional_response(name: str, media_type: str, *, cache: str) -> Response:
    """Return a response without a body, with an ETag made from `name`; 304 if the client has that version."""
    response = Response(mimetype=media_type, headers={"Cache-Control": cache})
    response.set_etag(name.replace("/", "-"))
    response.make_conditional(request)
    return response


def render_cached(name: str, blob_keys: Sequence[str], render: Callable[[Sequence[bytes]], bytes]) -> bytes:
    """Return `render` of the blobs, cached under `name`.

    Rendering takes up to seconds of CPU, so it counts as a stream. A request may wait for others that render, and then
    find its file in the cache. Blobs are read only after that, so waiting requests hold none in memory.
    """
    context = Context.current()
    if cached := context.thumbnails.get(name):
        return cached
    with context.stream_limits.hold(), render_slot():
        if cached := context.thumbnails.get(name):
            return cached
        return context.thumbnails.put(name, render([context.services.blobs.get(key) for key in blob_keys]))
