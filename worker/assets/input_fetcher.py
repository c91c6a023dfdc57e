"""Fetches the images of jobs that were submitted with URLs, decodes them, and puts the jobs into their queues.

Any number of fetchers may run at the same time: a job is held by one of them at a time, under a lease
(shared/ledger/fetches.py). After a crash, the reaper sends the task again.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import structlog

from easel.models import JobError
from shared.errors import (
    BadInput,
    ClaimLost,
    DailyQuotaExceeded,
    EaselError,
    ImageFetchFailed,
    JobNotFound,
    StorageQuotaExceeded,
    Unavailable,
)
from shared.inputs.decoder_pool import DecoderPool
from shared.inputs.input_images import positioned
from shared.inputs.reader import InputReader, Inputs
from shared.inputs.sources import ImageId, ImageSource, ImageSources, ImageUrl
from shared.inputs.uploaded import UploadedImages, store_input
from shared.jobs.admission import admit
from shared.jobs.job import InputSources, Job, JobRequest
from shared.ledger.fetches import Fetch
from shared.recovery.job_files import write_fetched_inputs
from shared.services import Services
from shared.storage import keys
from shared.tenants.quotas import read_quotas
from worker.assets.batch_downloads import BatchDownloads
from worker.assets.image_download import ImageDownload
from worker.assets.task_slots import TaskSlots

log = structlog.get_logger(__name__)

RETRY_SECONDS: Final = (5, 30, 120)
"""Delays after attempts that another one may mend."""
_MAX_ATTEMPTS: Final = 10  # also of those that a crash ended
_MARGIN_SECONDS: Final = 90.0  # of a lease, for the store, and to wait for a process that decodes and its start
_UNAVAILABLE_SECONDS: Final = 30
_JOBS_PER_TENANT: Final = 2  # at the same time, of the four threads of worker/assets/consumer.py


class InputFetcher:
    """Safe to share between threads."""

    def __init__(self, services: Services) -> None:
        settings = services.settings
        self._services, self._decoder, self._download = services, DecoderPool(settings), ImageDownload(settings)
        self._batch_downloads = BatchDownloads(self._download, settings.max_body_bytes)
        self._lease_seconds = settings.fetch_seconds + settings.decode_seconds + _MARGIN_SECONDS
        self._slots = TaskSlots(_JOBS_PER_TENANT)

    def fetch(self, job_id: str) -> None:
        """Fetch a job's images, unless another fetcher does, or later if others of its tenant are being fetched.

        Raises Unavailable; the reaper then sends it again.
        """
        try:
            job = self._services.ledger.get(job_id)
            if self._slots.acquire(job.tenant, job_id):
                self._fetch_in_slot(job)
        except (ClaimLost, JobNotFound) as error:
            log.info("fetch_abandoned", job=job_id, detail=error.detail)

    def _fetch_in_slot(self, job: Job) -> None:
        context = {"job": job.id, "tenant": job.tenant, "request_id": job.request.request_id}
        try:
            with structlog.contextvars.bound_contextvars(**context):
                if fetch := self._services.fetches.take(job.id, lease_seconds=self._lease_seconds):
                    self._fetch(fetch, job)
        finally:
            if next_id := self._slots.release(job.tenant):
                self._services.dispatcher.fetch_inputs(next_id)

    def _fetch(self, fetch: Fetch, job: Job) -> None:
        if fetch.attempt > _MAX_ATTEMPTS:
            self._fail(fetch, job, ImageFetchFailed("The images cannot be read; the service's log has the details."))
            return
        try:
            self._complete(fetch, job.request)
        except Unavailable as error:  # not the job's fault
            log.warning("fetch_postponed", code=error.code, detail=error.detail)
            self._services.fetches.retry(fetch, seconds=_UNAVAILABLE_SECONDS, counted=False)
        except (BadInput, ImageFetchFailed, DailyQuotaExceeded, StorageQuotaExceeded) as error:
            if error.extra.get("transient") and fetch.attempt <= len(RETRY_SECONDS):
                log.info("fetch_failed", attempt=fetch.attempt, detail=error.detail)
                self._services.fetches.retry(fetch, seconds=RETRY_SECONDS[fetch.attempt - 1])
            else:
                self._fail(fetch, job, error)
        else:
            log.info("inputs_fetched")
            self._services.dispatcher.wake(job.request.tier)

    def _fail(self, fetch: Fetch, job: Job, error: EaselError) -> None:
        self._services.fetches.fail(fetch, job, JobError(code=error.code, detail=f"{_subject(error)}{error.detail}"))
        log.info("inputs_refused", code=error.code)

    def _complete(self, fetch: Fetch, request: JobRequest) -> None:
        """Store the images and the complete request, then put the job into its queue."""
        services = self._services
        quotas = read_quotas(services.blobs, request.tenant).or_defaults(services.settings)
        services.stored_bytes.check(request.tenant, quotas.stored_bytes)
        inputs = self._inputs(fetch, request)
        complete = request.model_copy(update={"sources": None, **inputs.request_fields(request.recipe)})
        admit(complete, services.queue_stats.workers()).check()
        if quotas.stored_bytes:
            services.stored_bytes.add_inputs(request.tenant, services.blobs, inputs.all())
        for image in inputs.all():
            self._renew(fetch)
            store_input(services.blobs, image)
        write_fetched_inputs(services.blobs, complete)
        services.fetches.complete(fetch, complete, pixel_evaluations_per_day=quotas.pixel_evaluations_per_day or 0)

    def _inputs(self, fetch: Fetch, request: JobRequest) -> Inputs:
        settings, files = self._services.settings, dict[ImageSource, bytes]()

        def read(source: ImageSource, position: dict[str, Any]) -> ImageSource:
            self._renew(fetch)
            if source not in files:
                fetched = sum(len(file) for other, file in files.items() if isinstance(other, ImageUrl))
                with positioned(**position):
                    files[source] = self._read(source, max(1, settings.max_body_bytes - fetched), request.batch)
            return _FetchedFile(files[source], partial(self._renew, fetch))

        if request.sources is None:  # in a record that another program wrote
            raise ImageFetchFailed("The job has no images.")
        uploaded = UploadedImages(self._services.blobs, request.tenant, settings.image_seconds)
        reader = InputReader(self._decoder, uploaded, f"tenant {request.tenant}")
        return reader.read(_image_sources(request.sources).map(read), request.recipe)

    def _renew(self, fetch: Fetch) -> None:
        self._services.fetches.renew(fetch, lease_seconds=self._lease_seconds)

    def _read(self, source: ImageSource, max_bytes: int, batch: str | None) -> bytes:
        if isinstance(source, ImageId):
            return self._services.blobs.get(keys.input_image(source.sha256))
        if batch is None:
            return self._download.get(str(source), max_bytes)
        return self._batch_downloads.get(batch, str(source), max_bytes)


@dataclass(frozen=True)
class _FetchedFile:
    """A file that is read when a process is free to decode it, for which the job may have waited."""

    content: bytes
    renew_lease: Callable[[], None]

    def read(self) -> bytes:
        """Return the content, with a whole lease to decode it."""
        self.renew_lease()
        return self.content


def _image_sources(stored: InputSources) -> ImageSources:
    def parse(texts: Iterable[str]) -> tuple[ImageSource, ...]:
        return tuple(ImageId.parse(text) or ImageUrl(text) for text in texts)

    (content,) = parse([stored.content])
    lists = parse(stored.styles), parse(stored.style_masks), parse(stored.content_masks)
    init_image = parse([stored.init_image])[0] if stored.init_image else None
    return ImageSources(content, *lists, init_image)


def _subject(error: EaselError) -> str:
    """Return the image that an error is about, as in `style[0]: `."""
    field, number = error.extra.get("field"), error.extra.get("number")
    return (field + ("" if number is None else f"[{number}]") + ": ") if field else ""
