"""Jobs as objects: the last known status, and all requests about a job."""

import math
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import RootModel

from easel._requests import ATTEMPTS, STREAM_ATTEMPTS, RetryingClient
from easel._sync_bridge import AsyncMixin, BridgedMethod, BridgedStream, SyncMixin
from easel.errors import ApiError, Conflict
from easel.events import JOB_EVENTS, JobEvent, changed_fields
from easel.models import (
    Deliveries,
    Delivery,
    Filmstrip,
    ImageFormat,
    JobError,
    JobState,
    JobStatus,
    Preview,
    Progress,
    SavedIteration,
    SavedIterationList,
    ShareLink,
)

_WAIT_SECONDS: Final = 10.0  # that one request of `wait` is held by the service


class JsonObject(RootModel[dict[str, Any]]):
    """A JSON object that is returned as it is."""


class BaseJob:
    """The methods of Job and AsyncJob. `status` is the last known status; `refresh` fetches it, `events` updates it."""

    def __init__(self, client: RetryingClient, status: JobStatus) -> None:
        self._client, self.status = client, status

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    @property
    def id(self) -> str:
        """The job's UUIDv7, which sorts by time."""
        return self.status.id

    @property
    def state(self) -> JobState:
        """The last known state."""
        return self.status.state

    @property
    def ended(self) -> bool:
        """Whether that state is final: succeeded, failed or canceled."""
        return self.status.ended

    @property
    def progress(self) -> Progress:
        """The last known progress."""
        return self.status.progress

    @property
    def error(self) -> JobError | None:
        """Why the job failed; None if it did not."""
        return self.status.error

    # Status.

    @BridgedMethod
    async def refresh(self, *, wait: float | None = None) -> JobStatus:
        """Fetch the status; with `wait`, when it changes, at most `wait` seconds later (limit 60)."""
        return await self._refresh(wait or 0.0)

    @BridgedMethod
    async def wait(self, timeout: float | None = None) -> JobStatus:  # noqa: ASYNC109 - both clients have it
        """Wait until the job has ended, however it ended, and return its status.

        Raises TimeoutError if it has not ended after `timeout` seconds; the job keeps running. A service that does not
        respond can delay this by the client's own timeout.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            hold = max(0.0, min(_WAIT_SECONDS, deadline - time.monotonic()))
            try:
                status = await self._refresh(hold, attempts=STREAM_ATTEMPTS, deadline=deadline)
            except ApiError as error:
                if error.transient and time.monotonic() >= deadline:
                    raise self._timed_out(timeout) from error
                raise
            if status.ended:
                return status
            if time.monotonic() >= deadline:
                raise self._timed_out(timeout)

    @BridgedStream
    async def events(self, after: str | None = None) -> AsyncGenerator[JobEvent, None]:
        """Yield the job's events from the first one, or from after the event ID `after`, until the job has ended.

        Each event first updates `status`, unless the job has ended: state, progress, losses, speed, queue position,
        estimate, control requests and a silent worker. Past events come first, and take `status` through the job's
        past states. `refresh` fetches what events do not carry, such as `error` and `urls`.

        A broken stream is resumed after the last event. Raises Unreachable after about 40 seconds without a response.
        """
        async with aclosing(self._client.stream(JOB_EVENTS, self._path("events"), after)) as events:
            async for event in events:
                if not self.ended:  # past events of an ended job would take its status back
                    self.status = self.status.model_copy(update=changed_fields(self.status, event))
                yield event
                if event.ends_job:
                    return

    # Images and documents.

    @BridgedMethod
    async def result(
        self,
        format: ImageFormat = "png",  # noqa: A002 - as in the API
        *,
        quality: int = 90,
        metadata: bool = True,
    ) -> bytes:
        """Return the finished image; `quality` is for JPEG and WebP.

        With `metadata`, the file says how it was made: recipe, version, hashes of the inputs. Raises Conflict
        `not_ready` without a result.
        """
        params: dict[str, str | int] = {} if format == "png" else {"format": format, "quality": quality}
        params |= {} if metadata else {"metadata": "false"}
        return await self._download("result", params=params)

    @BridgedMethod
    async def preview(self, step: int | None = None) -> bytes:
        """Return the newest preview, or the one after `step` steps; a small JPEG.

        Raises Conflict `not_ready` if there is none yet, NotFound for a step without one.
        """
        return await (self._download("preview") if step is None else self._download("previews", str(step)))

    @BridgedMethod
    async def previews(self) -> list[Preview]:
        """Return the list of all previews, ordered by step; `preview(step)` fetches one."""
        return (await self._client.request_model(Filmstrip, "GET", self._path("previews"))).previews

    @BridgedMethod
    async def iterations(self) -> list[SavedIteration]:
        """Return the list of the iterations that `save_every` in the recipe saved so far; `iteration` fetches one."""
        return (await self._client.request_model(SavedIterationList, "GET", self._path("iterations"))).iterations

    @BridgedMethod
    async def iteration(self, step: int) -> bytes:
        """Return the image after `step` steps, a PNG at full size. Raises NotFound for a step that is not saved."""
        return await self._download("iterations", str(step))

    @BridgedMethod
    async def timelapse(self) -> bytes:
        """Return the previews as an animated WebP. Raises Conflict `not_ready` if there are fewer than two."""
        return await self._download("timelapse")

    @BridgedMethod
    async def provenance(self) -> dict[str, Any]:
        """Return the origin of the result: hashes of the inputs, recipe, seed, weights, versions.

        Raises Conflict `not_ready` if there is no result yet.
        """
        return (await self._client.request_model(JsonObject, "GET", self._path("provenance"))).root

    @BridgedMethod
    async def share(self, *, expires_in: int = 86_400, format: ImageFormat = "png") -> ShareLink:  # noqa: A002 - as in the API
        """Return a link to the result that needs no key, for `expires_in` seconds: 60 to 604,800.

        Raises Conflict `not_ready` if there is no result yet.
        """
        body = {"expires_in": expires_in, "format": format}
        link = await self._client.request_model(ShareLink, "POST", self._path("share"), json=body)
        urls = {name: getattr(link, name) for name in ("url", "preview_url")}
        return link.model_copy(
            update={name: self._client.url + url for name, url in urls.items() if url and url.startswith("/")}
        )

    @BridgedMethod
    async def deliveries(self) -> list[Delivery]:
        """Return all attempts to deliver the job's webhooks."""
        return (await self._client.request_model(Deliveries, "GET", self._path("deliveries"))).deliveries

    # Control.

    @BridgedMethod
    async def cancel(self) -> JobStatus:
        """Stop the job and keep only its previews and saved iterations. A job that is already canceled is no error."""
        return await self._request_control("cancel")

    @BridgedMethod
    async def finish(self) -> JobStatus:
        """Stop the job and keep the image so far as its result. Raises Conflict `not_ready` before the first step."""
        return await self._request_control("finish")

    @BridgedMethod
    async def delete(self) -> None:
        """Delete a job that has ended, with its images. Raises Conflict `wrong_state` if it has not."""
        await self._client.request("DELETE", self._path(), idempotent=False)

    async def _refresh(self, hold: float = 0.0, *, attempts: int = ATTEMPTS, deadline: float = math.inf) -> JobStatus:
        self.status = await fetch_status(self._client, self.id, hold, attempts=attempts, deadline=deadline)
        return self.status

    async def _download(self, *part: str, params: Mapping[str, str | int] | None = None) -> bytes:
        return (await self._client.request("GET", self._path(*part), params=params or {})).content

    async def _request_control(self, request: Literal["cancel", "finish"]) -> JobStatus:
        try:
            self.status = await self._client.request_model(JobStatus, "POST", self._path(request))
        except Conflict as conflict:
            if conflict.code != "wrong_state":
                raise
            status = await self._refresh()
            # The first attempt may have succeeded, its response got lost, and the request was repeated.
            if not (status.state == JobState.CANCELED if request == "cancel" else status.stopped_early):
                raise
        return self.status

    def _timed_out(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(f"Job {self.id} has not ended after {timeout:g} s; it keeps running.")

    def _path(self, *part: str) -> str:
        return job_path(self.id, *part)


class Job(BaseJob, SyncMixin):
    """One job. `status` is the last known status; `refresh` fetches it, `events` updates it."""


class AsyncJob(BaseJob, AsyncMixin):
    """One job of an AsyncEasel: its methods are awaited, and `events` is read by `async for`."""


def job_path(job_id: str, *part: str) -> str:
    """Return the path of a job or of a part of it; the ID is quoted, so that it stays one segment."""
    return "/".join(("/v1/jobs", quote(job_id, safe=""), *part))


async def fetch_status(client: RetryingClient, job_id: str, hold: float = 0.0, **options: Any) -> JobStatus:
    """Return a job's status: now, or when it changes within `hold` seconds. `options` are those of `request`."""
    params = {"wait": f"{hold:g}"} if hold else {}
    return await client.request_model(JobStatus, "GET", job_path(job_id), params=params, hold=hold, **options)
