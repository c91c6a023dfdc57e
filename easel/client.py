"""The sync and the async client of the service."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import ClassVar, Final, Self

from easel._requests import OnRetry, RetryingClient, TransportType
from easel._submission import BatchT, JobT, SubmissionMethods
from easel._sync_bridge import AsyncMixin, BridgedMethod, BridgedStream, SyncMixin, run_sync
from easel._transports import AsyncTransport, SyncTransport
from easel.batches import AsyncBatch, BaseBatch, Batch, fetch_batch
from easel.events import QUEUE_EVENTS, QueueEvent
from easel.jobs import AsyncJob, Job, fetch_status
from easel.models import JobPage, JobState, Queue, Recipes

DEFAULT_URL: Final = "http://127.0.0.1:8080"


class BaseClient(SubmissionMethods[JobT, BatchT]):
    """The methods of Easel and AsyncEasel."""

    _transport: ClassVar[TransportType]

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        on_retry: OnRetry | None = None,
    ) -> None:
        self.base_url = base_url or os.environ.get("EASEL_URL") or DEFAULT_URL
        key = api_key or os.environ.get("EASEL_API_KEY")
        self._client = RetryingClient(self._transport, self.base_url, key, timeout, on_retry)

    @BridgedMethod
    async def recipes(self) -> Recipes:
        """Return the presets and the fields of a recipe."""
        return await self._client.request_model(Recipes, "GET", "/v1/recipes")

    @BridgedMethod
    async def get(self, job_id: str, *, wait: float | None = None) -> JobT:
        """Return a job; with `wait`, when it changes, or after so many seconds (at most 60)."""
        return self._wrap(await fetch_status(self._client, job_id, wait or 0.0))

    @BridgedMethod
    async def get_batch(self, batch_id: str) -> BatchT:
        """Return a batch. Raises NotFound."""
        return self._batch(self._client, await fetch_batch(self._client, batch_id))

    @BridgedStream
    async def list(
        self,
        state: JobState | str | None = None,
        *,
        preset: str | None = None,
        batch: BaseBatch | str | None = None,
        metadata: Mapping[str, str] | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
        page: int = 50,
    ) -> AsyncGenerator[JobT, None]:
        """Yield the jobs that match all arguments, newest first. They are fetched `page` at a time.

        `metadata` are values that a job's metadata must have; times without a zone are local, and `created_after` is
        inclusive.
        """
        times = {"created_after": created_after, "created_before": created_before}
        batch_id = batch.id if isinstance(batch, BaseBatch) else batch
        filters = {"state": state or None, "preset": preset, "batch": batch_id} | {
            name: moment.astimezone(UTC).isoformat() for name, moment in times.items() if moment
        }
        filters |= {f"metadata[{key}]": value for key, value in (metadata or {}).items()}
        params: dict[str, str | int] = {"limit": page} | {
            key: str(one) for key, one in filters.items() if one is not None
        }
        while True:
            job_page = await self._client.request_model(JobPage, "GET", "/v1/jobs", params=params)
            for status in job_page.jobs:
                yield self._wrap(status)
            if not job_page.next_cursor:
                return
            params["cursor"] = job_page.next_cursor

    @BridgedMethod
    async def queue(self) -> Queue:
        """Return the length of each queue, the running jobs and the workers."""
        return await self._client.request_model(Queue, "GET", "/v1/queue")

    @BridgedStream
    async def queue_events(self) -> AsyncGenerator[QueueEvent, None]:
        """Yield the queue's events indefinitely: its current state, then each change, at most one a second.

        A broken stream is resumed. Raises Unreachable after about 40 seconds without a response.
        """
        async with aclosing(self._client.stream(QUEUE_EVENTS, "/v1/queue/events")) as events:
            async for event in events:
                yield event


class Easel(BaseClient[Job, Batch], SyncMixin):
    """A client of one Easel service; safe to share between threads.

    Args:
        base_url: Address of the service; by default EASEL_URL, or port 8080 of this machine.
        api_key: By default EASEL_API_KEY.
        timeout: The longest silence within one request, in seconds.
        on_retry: Called before each retry with the error and the seconds until the retry.
    """

    _transport, _job, _batch = SyncTransport, Job, Batch

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections."""
        run_sync(self._client.close())


class AsyncEasel(BaseClient[AsyncJob, AsyncBatch], AsyncMixin):
    """Like Easel, for one event loop of asyncio: methods are awaited, and streams are read by `async for`."""

    _transport, _job, _batch = AsyncTransport, AsyncJob, AsyncBatch

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.close()
