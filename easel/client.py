"""The service as its clients hold it: all its calls, for threads and for asyncio."""

import json
import os
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar, Final, Generic, Self, TypeVar

from easel._requests import Model, OnRetry, Sender, WireKind
from easel._sync_bridge import Blocking, Suspending, Twofold, TwofoldStream, run
from easel._transports import AsyncWire, BlockingWire
from easel.errors import BadInput
from easel.jobs import AnyJob, AsyncJob, Job, look
from easel.models import JobPage, JobState, JobView, Queue, Quote, Recipes

DEFAULT_URL: Final = "http://127.0.0.1:8080"
Picture = bytes | str | Path
"""An encoded image, or the path of one."""
Recipe = Mapping[str, Any] | str | Path | None
"""Fields of a recipe, a preset's name, the path of a JSON file with fields, or the default."""
JobT = TypeVar("JobT", bound=AnyJob)


class _Easel(Generic[JobT]):
    """All calls of the service, written once."""

    _wire: ClassVar[WireKind]
    _job: type[JobT]

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
        self._sender = Sender(self._wire, self.base_url, key, timeout, on_retry)

    # Asking for pictures.

    @Twofold
    async def submit(
        self,
        content: Picture,
        styles: Picture | Sequence[Picture],
        recipe: Recipe = None,
        *,
        tier: str | None = None,
        idempotency_key: str | None = None,
        webhook_url: str | None = None,
        webhook_events: Sequence[str] | None = None,
    ) -> JobT:
        """Queue a job: `content` painted like `styles`. The same key within a day names the same job.

        The service tells `webhook_url` of the `webhook_events`: job.started, job.succeeded, job.failed,
        job.canceled; of all where none are named.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        events = json.dumps(list(webhook_events)) if webhook_events else None
        texts = {"tier": tier, "webhook_url": webhook_url, "webhook_events": events}
        return self._hold(await self._order(JobView, content, styles, recipe, texts, headers=headers))

    @Twofold
    async def quote(
        self, content: Picture, styles: Picture | Sequence[Picture], recipe: Recipe = None, *, tier: str | None = None
    ) -> Quote:
        """What `submit` with the same arguments would cost. Stores nothing."""
        return await self._order(Quote, content, styles, recipe, {"tier": tier}, params={"dry_run": "true"})

    @Twofold
    async def recipes(self) -> Recipes:
        """The presets, and all that can be set in a recipe."""
        return await self._sender.ask(Recipes, "GET", "/v1/recipes")

    # Looking.

    @Twofold
    async def get(self, job_id: str, *, wait: float | None = None) -> JobT:
        """A job; with `wait`, held by the service until it changes, for up to so many seconds (<= 60)."""
        return self._hold(await look(self._sender, job_id, wait))

    @TwofoldStream
    async def list(self, state: JobState | str | None = None, *, page: int = 50) -> AsyncGenerator[JobT, None]:
        """All jobs (in this state), newest first, fetched `page` at a time as they are read."""
        params: dict[str, str | int] = {"limit": page} | ({"state": str(state)} if state else {})
        while True:
            found = await self._sender.ask(JobPage, "GET", "/v1/jobs", params=params)
            for view in found.jobs:
                yield self._hold(view)
            if not found.next_cursor:
                return
            params["cursor"] = found.next_cursor

    @Twofold
    async def queue(self) -> Queue:
        """How long the lines are, what runs where, which workers live."""
        return await self._sender.ask(Queue, "GET", "/v1/queue")

    @TwofoldStream
    async def queue_events(self) -> AsyncGenerator[Queue, None]:
        """The queue now and whenever it changes, at most once a second, for ever; taken up again where it breaks."""
        async with aclosing(self._sender.follow("/v1/queue/events")) as events:
            async for event in events:
                if event.kind == "queue":
                    yield Queue.model_validate(event.data)

    async def _order(
        self,
        answer: type[Model],
        content: Picture,
        styles: Picture | Sequence[Picture],
        recipe: Recipe,
        texts: Mapping[str, str | None],
        **options: Any,
    ) -> Model:
        """Post the form. Raises BadInput, which names the picture that it is about."""
        several = [styles] if isinstance(styles, Picture) else styles
        form = _form(content, several, recipe, texts)
        try:
            return await self._sender.ask(answer, "POST", "/v1/jobs", **options, **form)
        except BadInput as refused:
            field, number = refused.extra.get("field"), refused.extra.get("number", 0)
            if field == "content":
                refused.name(_name(content, "content"))
            elif field == "style" and number < len(several):
                refused.name(_name(several[number], f"style {number + 1}"))
            raise

    def _hold(self, view: JobView) -> JobT:
        return self._job(self._sender, view)


class Easel(_Easel[Job], Blocking):
    """A connection to one Easel service; safe to share between threads.

    `base_url` falls back to EASEL_URL, then to port 8080 of this machine; `api_key` to EASEL_API_KEY.
    `timeout` is the longest silence within one request, in seconds. `on_retry(error, seconds)` is told of
    each trouble that is met by another attempt.
    """

    _wire, _job = BlockingWire, Job

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        run(self._sender.close())


class AsyncEasel(_Easel[AsyncJob], Suspending):
    """The same for asyncio, within one event loop: calls are awaited, `list` and `queue_events` read by `async for`."""

    _wire, _job = AsyncWire, AsyncJob

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the connections back."""
        await self._sender.close()


def _form(
    content: Picture, styles: Sequence[Picture], recipe: Recipe, texts: Mapping[str, str | None]
) -> dict[str, Any]:
    """The multipart body of `POST /v1/jobs`."""
    fields = {"recipe": json.dumps(recipe_fields(recipe)), **texts}
    return {
        "files": [("content", _file(content)), *(("style", _file(style)) for style in styles)],
        "data": {name: text for name, text in fields.items() if text},
    }


def _name(picture: Picture, otherwise: str) -> str:
    """The path as it was given; bytes have none."""
    return otherwise if isinstance(picture, bytes) else str(picture)


def _file(picture: Picture) -> tuple[str, bytes]:
    """(name, bytes) of an upload."""
    return ("image", picture) if isinstance(picture, bytes) else (Path(picture).name, Path(picture).read_bytes())


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the fields to send. Raises BadInput for a file that cannot be read or holds no JSON object."""
    if isinstance(recipe, str):
        return {"preset": recipe}
    if not isinstance(recipe, Path):
        return dict(recipe or {})
    try:
        return dict(json.loads(recipe.read_text()))
    except OSError as error:
        fix = "give the path of a JSON file, or a preset's name"
        raise BadInput(f"{recipe} cannot be read ({error.strerror}): {fix}.", code="unreadable_recipe") from error
    except (ValueError, TypeError) as error:
        raise BadInput(f"The recipe file {recipe} is not a JSON object: {error}.", code="invalid_recipe") from error
