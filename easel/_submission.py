"""The methods of the client that submit jobs and upload images."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from easel._requests import Model, RetryingClient
from easel._sync_bridge import BridgedMethod
from easel._uploads import ImageInput, RecipeInput, as_list, display_name, file_form, job_body
from easel.batches import BaseBatch, batch_body
from easel.errors import BadInput, NotFound
from easel.jobs import BaseJob
from easel.models import BatchStatus, JobStatus, Quote, UploadedImage

JobT = TypeVar("JobT", bound=BaseJob)
BatchT = TypeVar("BatchT", bound=BaseBatch)


class SubmissionMethods(Generic[JobT, BatchT]):
    """A part of BaseClient."""

    _client: RetryingClient
    _job: type[JobT]
    _batch: type[BatchT]

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
