"""Batches as objects: the last known status, and all requests about a batch."""

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from easel._requests import ATTEMPTS, STREAM_ATTEMPTS, RetryingClient
from easel._sync_bridge import AsyncMixin, BridgedMethod, SyncMixin
from easel._uploads import ImageInput, as_list, recipe_fields, reference
from easel.errors import Conflict
from easel.models import BatchStatus, ImageFormat

_POLL_SECONDS: Final = 2.0
_SHEET_SECONDS: Final = 120.0
_SINGLE: Final = ("content", "init_image")
_LISTS: Final = ("styles", "style_masks", "content_masks")

Upload = Callable[[ImageInput], Awaitable[str]]


class BaseBatch:
    """The methods of Batch and AsyncBatch. `status` is the last known status; `refresh` fetches it."""

    def __init__(self, client: RetryingClient, status: BatchStatus) -> None:
        self._client, self.status = client, status

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.status.progress:.0%}>"

    @property
    def id(self) -> str:
        """The batch's UUIDv7, which sorts by time. `easel.list(batch=id)` yields its jobs."""
        return self.status.id

    @property
    def ended(self) -> bool:
        """Whether all jobs had ended when the status was fetched."""
        return self.status.ended

    @BridgedMethod
    async def refresh(self) -> BatchStatus:
        """Fetch the status."""
        return await self._refresh()

    @BridgedMethod
    async def wait(self, timeout: float | None = None) -> BatchStatus:  # noqa: ASYNC109 - both clients have it
        """Wait until all jobs have ended, however they ended, and return the status.

        Raises TimeoutError if they have not after `timeout` seconds; they keep running.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while not (await self._refresh(attempts=STREAM_ATTEMPTS)).ended:
            if time.monotonic() >= deadline:
                raise TimeoutError(f"Batch {self.id} has not ended after {timeout:g} s; its jobs keep running.")
            await self._client.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))
        return self.status

    @BridgedMethod
    async def contact_sheet(self, format: ImageFormat = "png", *, quality: int = 90) -> bytes:  # noqa: A002 - as in the API
        """Return all results in one picture, once the service has made it: a moment after the last job has ended.

        Raises Conflict `not_ready` before that, `wrong_state` if no job has a result, and `contact_sheet_failed` if it
        cannot be made.
        """
        params: dict[str, str | int] = {} if format == "png" else {"format": format, "quality": quality}
        deadline = time.monotonic() + _SHEET_SECONDS
        while True:
            try:
                return (await self._client.request("GET", self._path("contact-sheet"), params=params)).content
            except Conflict as conflict:
                ended = self.ended or (await self._refresh()).ended
                if conflict.code != "not_ready" or not ended or time.monotonic() >= deadline:
                    raise
                await self._client.sleep(max(1.0, conflict.retry_after))

    @BridgedMethod
    async def cancel(self) -> BatchStatus:
        """Cancel all jobs that have not ended."""
        self.status = await self._client.request_model(BatchStatus, "POST", self._path("cancel"))
        return self.status

    @BridgedMethod
    async def delete(self) -> None:
        """Delete the batch with its jobs. Raises Conflict `wrong_state` if they have not all ended."""
        await self._client.request("DELETE", self._path(), idempotent=False)

    async def _refresh(self, *, attempts: int = ATTEMPTS) -> BatchStatus:
        self.status = await fetch_batch(self._client, self.id, attempts=attempts)
        return self.status

    def _path(self, *part: str) -> str:
        return batch_path(self.id, *part)


class Batch(BaseBatch, SyncMixin):
    """One batch. `status` is the last known status; `refresh` fetches it."""


class AsyncBatch(BaseBatch, AsyncMixin):
    """One batch of an AsyncEasel: its methods are awaited."""


def batch_path(batch_id: str, *part: str) -> str:
    """Return the path of a batch or of a part of it; the ID is quoted, so that it stays one segment."""
    return "/".join(("/v1/batches", quote(batch_id, safe=""), *part))


async def fetch_batch(client: RetryingClient, batch_id: str, **options: Any) -> BatchStatus:
    """Return a batch's status. `options` are those of `request`."""
    return await client.request_model(BatchStatus, "GET", batch_path(batch_id), **options)


async def batch_body(defaults: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], upload: Upload) -> dict[str, Any]:
    """Return the body of `POST /v1/batches`, with IDs and URLs of images. Each file is uploaded once."""
    ids = dict[Any, str]()

    async def identify(image: ImageInput) -> str:
        if known := reference(image):
            return known
        key = image if isinstance(image, bytes | str) else id(image)  # the objects live as long as `jobs`
        if key not in ids:
            ids[key] = await upload(image)
        return ids[key]

    async def fields_of(job: Mapping[str, Any]) -> dict[str, Any]:
        fields = dict(job)
        fields |= {name: await identify(fields[name]) for name in _SINGLE if fields.get(name) is not None}
        fields |= {name: [await identify(one) for one in as_list(fields[name])] for name in _LISTS if name in fields}
        return fields | ({"recipe": recipe_fields(fields["recipe"])} if "recipe" in fields else {})

    return {"defaults": await fields_of(defaults), "jobs": [await fields_of(job) for job in jobs]}
