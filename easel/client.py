"""The sync and the async client of the service."""

import os
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Generic, Self, TypeVar
from urllib.parse import quote

from easel._requests import Model, OnRetry, RetryingClient, TransportType
from easel._sync_bridge import AsyncMixin, BridgedMethod, BridgedStream, SyncMixin, run_sync
from easel._transports import AsyncTransport, SyncTransport
from easel._uploads import ImageInput, RecipeInput, as_list, display_name, file_form, job_body
from easel.batches import AsyncBatch, BaseBatch, Batch, batch_body, fetch_batch
from easel.errors import BadInput, NotFound
from easel.events import QUEUE_EVENTS, QueueEvent
from easel.jobs import AsyncJob, BaseJob, Job, fetch_status
from easel.models import BatchStatus, JobPage, JobState, JobStatus, Queue, Quote, Recipes, UploadedImage

DEFAULT_URL: Final = "http://127.0.0.1:8080"
JobT = TypeVar("JobT", bound=BaseJob)
BatchT = TypeVar("BatchT", bound=BaseBatch)


class BaseClient(Generic[JobT, BatchT]):
    """The methods of Easel and AsyncEasel."""

    _transport: ClassVar[TransportType]
    _job: type[JobT]
    _batch: type[BatchT]

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

    # Submission.

    @BridgedMethod
    async def upload(self, image: ImageInput) -> UploadedImage:
        """Upload an image once, to use it in any number of quotes and jobs: `submit(image, ...)`.

        It can be used until a day after its last use. Raises like `submit`.
        """
        return await self._upload(image)

    @BridgedMethod
    async def delete_upload(self, image: UploadedImage | str) -> None:
        """Delete an uploaded image, or the one with this ID. Jobs that have it keep it. Raises NotFound."""
        image_id = image if isinstance(image, str) else image.id
        await self._client.request("DELETE", f"/v1/images/{quote(image_id, safe='')}", idempotent=False)

    @BridgedMethod
    async def submit(
        self,
        content: ImageInput,
        styles: ImageInput | Sequence[ImageInput],
        recipe: RecipeInput = None,
        *,
        style_mask: ImageInput | Sequence[ImageInput] = (),
        content_mask: ImageInput | Sequence[ImageInput] = (),
        init_image: ImageInput | None = None,
        init_job: BaseJob | str | None = None,
        tier: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        webhook_url: str | None = None,
        webhook_events: Sequence[str] | None = None,
    ) -> JobT:
        """Submit a job that renders `content` in the style of `styles`.

        Images are paths, binary file objects, which are read but not closed, or bytes; images that `upload` returned,
        or their IDs; or https URLs, from which the service fetches them: then the job waits for its images, and fails
        with the error `image_fetch_failed` if it cannot get them. Submitting again with the
        same `idempotency_key` within a day returns the same job. `init_image` is what the job starts from instead of
        what the recipe's `init` says; or `init_job`, another job or its ID, whose result is used without a download.
        `content_mask` says where the styles apply: one gray image for each style, or one with a flat color for each,
        from dark to bright. `style_mask` says which part of a style is used: one gray image for each.
        `metadata` are up to 20 strings that are kept with the job, for `list`. `webhook_url` receives the
        `webhook_events` (job.started, job.succeeded, job.failed, job.canceled), or all of them if none are named.

        Raises BadInput, OSError for a path that cannot be read, TypeError for a text file; and for an `init_job`
        without a result NotFound or Conflict.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        fields = {
            "init_job": _job_id(init_job),
            "tier": tier,
            "metadata": dict(metadata or {}),
            "webhook_url": webhook_url,
            "webhook_events": list(webhook_events or ()),
        }
        images = _images(content, styles, style_mask, content_mask, init_image)
        return self._wrap(await self._post_job(JobStatus, images, recipe, fields, headers=headers))

    @BridgedMethod
    async def quote(
        self,
        content: ImageInput,
        styles: ImageInput | Sequence[ImageInput],
        recipe: RecipeInput = None,
        *,
        style_mask: ImageInput | Sequence[ImageInput] = (),
        content_mask: ImageInput | Sequence[ImageInput] = (),
        init_image: ImageInput | None = None,
        init_job: BaseJob | str | None = None,
        tier: str | None = None,
    ) -> Quote:
        """Return the predicted cost of `submit` with the same arguments, but no URLs. Stores nothing."""
        images = _images(content, styles, style_mask, content_mask, init_image)
        fields = {"init_job": _job_id(init_job), "tier": tier}
        return await self._post_job(Quote, images, recipe, fields, params={"dry_run": "true"})

    @BridgedMethod
    async def submit_batch(
        self,
        jobs: Sequence[Mapping[str, Any]],
        defaults: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> BatchT:
        """Submit up to 200 jobs together: all of them are created, or none.

        Each job is a mapping of `content`, `styles`, `style_masks`, `content_masks`, `init_image`, `init_job`,
        `recipe`, `tier`, `metadata`, `webhook_url` and `webhook_events`, as far as it differs from the `defaults`,
        which have the same keys. Images are what `submit` takes; each file is uploaded once. A job's `recipe` and
        `metadata` add to those of the defaults.

        Raises like `submit`; `error.extra["job"]` is the number of the job that an error is about, from 0.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        body = await batch_body(defaults or {}, jobs, self._upload_id)
        status = await self._client.request_model(BatchStatus, "POST", "/v1/batches", headers=headers, json=body)
        return self._batch(self._client, status)

    @BridgedMethod
    async def get_batch(self, batch_id: str) -> BatchT:
        """Return a batch. Raises NotFound."""
        return self._batch(self._client, await fetch_batch(self._client, batch_id))

    @BridgedMethod
    async def recipes(self) -> Recipes:
        """Return the presets and the fields of a recipe."""
        return await self._client.request_model(Recipes, "GET", "/v1/recipes")

    # Jobs and the queue.

    @BridgedMethod
    async def get(self, job_id: str, *, wait: float | None = None) -> JobT:
        """Return a job; with `wait`, when it changes, or after so many seconds (at most 60)."""
        return self._wrap(await fetch_status(self._client, job_id, wait or 0.0))

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

    async def _post_job(
        self,
        model: type[Model],
        images: Mapping[str, Sequence[ImageInput]],
        recipe: RecipeInput,
        fields: Mapping[str, Any],
        **options: Any,
    ) -> Model:
        """Post a job. Raises BadInput and NotFound, which name the image that they are about."""
        body = job_body(images, recipe, fields)
        try:
            return await self._client.request_model(model, "POST", "/v1/jobs", **options, **body)
        except (BadInput, NotFound) as error:
            field, number = error.extra.get("field"), error.extra.get("number", 0)
            part = images.get(field or "", ())
            if number < len(part) and ("number" in error.extra or len(part) == 1):
                error.add_subject(display_name(part[number], f"style {number + 1}" if field == "style" else str(field)))
            raise

    async def _upload(self, image: ImageInput) -> UploadedImage:
        return await self._client.request_model(UploadedImage, "POST", "/v1/images", **file_form(image))

    async def _upload_id(self, image: ImageInput) -> str:
        """Upload an image; return its ID. Raises BadInput, which names the image."""
        try:
            return (await self._upload(image)).id
        except BadInput as error:
            error.add_subject(display_name(image, "image"))
            raise

    def _wrap(self, status: JobStatus) -> JobT:
        return self._job(self._client, status)


def _images(
    content: ImageInput,
    styles: ImageInput | Sequence[ImageInput],
    style_mask: ImageInput | Sequence[ImageInput],
    content_mask: ImageInput | Sequence[ImageInput],
    init_image: ImageInput | None,
) -> Mapping[str, Sequence[ImageInput]]:
    """Return the images by part of the form."""
    return {
        "content": [content],
        "style": as_list(styles),
        "style_mask": as_list(style_mask),
        "content_mask": as_list(content_mask),
        "init_image": [] if init_image is None else [init_image],
    }


def _job_id(job: BaseJob | str | None) -> str | None:
    return job.id if isinstance(job, BaseJob) else job


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
