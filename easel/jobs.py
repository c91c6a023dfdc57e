"""Jobs as objects: what the service last told of one, and all that can be done with it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

from easel._requests import Sender
from easel._sync_bridge import Blocking, Suspending, Twofold, TwofoldStream
from easel.errors import Conflict
from easel.models import (
    Deliveries,
    Delivery,
    Document,
    Event,
    Filmstrip,
    JobError,
    JobState,
    JobView,
    Preview,
    Progress,
)


class AnyJob:
    """One job. `view` is all that the service last told of it; what asks anew is said to."""

    def __init__(self, sender: Sender, view: JobView) -> None:
        self._sender, self.view = sender, view

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    @property
    def id(self) -> str:
        """A UUIDv7: sorts by time."""
        return self.view.id

    @property
    def state(self) -> JobState:
        """Where it stood when the service was last asked."""
        return self.view.state

    @property
    def ended(self) -> bool:
        """Whether that state is final: succeeded, failed or canceled."""
        return self.view.ended

    @property
    def progress(self) -> Progress:
        """How far it was."""
        return self.view.progress

    @property
    def error(self) -> JobError | None:
        """Why it failed."""
        return self.view.error

    # Looking.

    @Twofold
    async def refresh(self, *, wait: float | None = None) -> JobView:
        """Ask anew; with `wait`, held by the service until it changes, for up to so many seconds (<= 60)."""
        return await self._look(wait)

    @Twofold
    async def wait(self) -> JobView:
        """The job once it has ended, however it ended."""
        async with aclosing(self._story(None)) as story:
            async for _ in story:
                pass
        return await self._look()

    @TwofoldStream
    def events(self, after: str | None = None) -> AsyncGenerator[Event, None]:
        """The job's story from its beginning, or from after the event id `after`, until it ends.

        A stream that breaks is taken up again where it broke; nobody answering for about 40 seconds ends it.
        """
        return self._story(after)

    # Fetching.

    @Twofold
    async def result(self) -> bytes:
        """The finished picture, a PNG. Raises Conflict `not_ready` while there is none."""
        return await self._fetch("result")

    @Twofold
    async def preview(self, step: int | None = None) -> bytes:
        """The picture as it is now, or as it was after `step` steps; a small JPEG.

        Raises Conflict `not_ready` while there is none, NotFound for a step without one.
        """
        return await (self._fetch("preview") if step is None else self._fetch("previews", str(step)))

    @Twofold
    async def previews(self) -> list[Preview]:
        """All pictures on the way, in the order of their steps; `preview(step)` fetches one."""
        return (await self._sender.ask(Filmstrip, "GET", self._path("previews"))).previews

    @Twofold
    async def timelapse(self) -> bytes:
        """The pictures on the way as an animated WebP. Raises Conflict `not_ready` while they are fewer than two."""
        return await self._fetch("timelapse")

    @Twofold
    async def provenance(self) -> dict[str, Any]:
        """What made the picture: inputs' hashes, recipe, seed, weights, versions. Raises as `result` does."""
        return (await self._sender.ask(Document, "GET", self._path("provenance"))).root

    @Twofold
    async def deliveries(self) -> list[Delivery]:
        """Every attempt to tell the job's webhook."""
        return (await self._sender.ask(Deliveries, "GET", self._path("deliveries"))).deliveries

    # Steering.

    @Twofold
    async def cancel(self) -> JobView:
        """Stop and keep nothing but the preview. Canceling a canceled job is no error."""
        return await self._steer("cancel")

    @Twofold
    async def finish(self) -> JobView:
        """Stop now and keep the best picture so far. Raises Conflict `not_ready` before the first step."""
        return await self._steer("finish")

    @Twofold
    async def delete(self) -> None:
        """Forget a job that has ended, with its pictures. Raises Conflict `wrong_state` before."""
        await self._sender.send("DELETE", self._path(), harmless=False)

    async def _look(self, wait: float | None = None) -> JobView:
        self.view = await look(self._sender, self.id, wait)
        return self.view

    async def _story(self, after: str | None) -> AsyncGenerator[Event, None]:
        async with aclosing(self._sender.follow(self._path("events"), after)) as events:
            async for event in events:
                yield event
                if event.ends_job:
                    return

    async def _fetch(self, *part: str) -> bytes:
        return (await self._sender.send("GET", self._path(*part))).content

    async def _steer(self, wish: str) -> JobView:
        try:
            self.view = await self._sender.ask(JobView, "POST", self._path(wish))
        except Conflict as refused:
            if refused.code != "wrong_state":
                raise
            view = await self._look()
            # Granted before: the answer may have been lost on its way, and the wish sent again.
            if not (view.state == JobState.CANCELED if wish == "cancel" else view.stopped_early):
                raise
        return self.view

    def _path(self, *part: str) -> str:
        return job_path(self.id, *part)


class Job(AnyJob, Blocking):
    """One job. `view` is all that the service last told of it; what asks anew is said to."""


class AsyncJob(AnyJob, Suspending):
    """The same for asyncio: every method is awaited, `events` is read by `async for`."""


def job_path(job_id: str, *part: str) -> str:
    """Where a job is; an id cannot reach beyond its place in the path."""
    return "/".join(("/v1/jobs", quote(job_id, safe=""), *part))


async def look(sender: Sender, job_id: str, wait: float | None = None) -> JobView:
    """A job as it is now, or as it changes within `wait` seconds."""
    params = {"wait": f"{wait:g}"} if wait else {}
    return await sender.ask(JobView, "GET", job_path(job_id), params=params, hold=wait or 0.0)
