"""The Python client.

    from api.client import Easel

    easel = Easel()
    job = easel.submit("photo.jpg", ["painting.jpg"], recipe="default")
    easel.wait(job.id)
    Path("picture.png").write_bytes(easel.result(job.id))

Requests that meet a lost connection or a passing trouble are sent again, a few times, with growing
pauses; every submission carries an idempotency key, so that sending it twice makes one job.
All methods raise ApiError; of these, Unreachable says that nobody answers.
"""

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from api import sending
from api.answers import ApiError, Document, Event, Job, JobPage, Quote, Unreachable
from shared.job import JobState

__all__ = ["ApiError", "Easel", "Event", "Job", "JobState", "Quote", "Unreachable"]

DEFAULT_URL: Final = "http://127.0.0.1:8080"
Picture = bytes | str | Path
"""An encoded image, or the path of one."""
Recipe = Mapping[str, Any] | str | Path | None
"""Fields of a recipe, a preset's name, the path of a JSON file with fields, or the default."""
Model = TypeVar("Model", bound=BaseModel)


class Easel:
    """A connection to one Easel service; safe to share between threads.

    `base_url` falls back to EASEL_URL, then to port 8080 of this machine; `api_key` to EASEL_API_KEY.
    `timeout` is the longest silence within one request, in seconds. `on_retry(error, seconds)` is told of
    each trouble that is met by another attempt.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        on_retry: sending.OnRetry | None = None,
    ) -> None:
        self.base_url = base_url or os.environ.get("EASEL_URL") or DEFAULT_URL
        key = api_key or os.environ.get("EASEL_API_KEY")
        self._sender = sending.Sender(self.base_url, key, timeout, on_retry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._sender.close()

    # Asking for pictures.

    def submit(
        self,
        content: Picture,
        styles: Picture | Sequence[Picture],
        recipe: Recipe = None,
        *,
        tier: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Queue a job: `content` painted like `styles`. The same key within a day names the same job."""
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        form = _form(content, styles, recipe, tier)
        return self._read(Job, self._sender.send("POST", "/v1/jobs", headers=headers, **form))

    def quote(
        self, content: Picture, styles: Picture | Sequence[Picture], recipe: Recipe = None, *, tier: str | None = None
    ) -> Quote:
        """What `submit` with the same arguments would cost. Stores nothing."""
        form = _form(content, styles, recipe, tier)
        return self._read(Quote, self._sender.send("POST", "/v1/jobs", params={"dry_run": "true"}, **form))

    # Looking.

    def get(self, job_id: str, *, wait: float | None = None) -> Job:
        """The job now; with `wait`, held by the service until it changes, for up to so many seconds (<= 60)."""
        params = {"wait": f"{wait:g}"} if wait else {}
        return self._read(Job, self._sender.send("GET", _path(job_id), params=params, hold=wait or 0.0))

    def list(self, state: JobState | str | None = None, *, page: int = 50) -> Iterator[Job]:
        """All jobs (in this state), newest first, fetched `page` at a time as they are read."""
        params: dict[str, str | int] = {"limit": page} | ({"state": str(state)} if state else {})
        while True:
            found = self._read(JobPage, self._sender.send("GET", "/v1/jobs", params=params))
            yield from found.jobs
            if not found.next_cursor:
                return
            params["cursor"] = found.next_cursor

    def events(self, job_id: str, after: str | None = None) -> Iterator[Event]:
        """The job's story from its beginning, or from after the event id `after`, until it ends.

        A stream that breaks is taken up again where it broke; nobody answering for about 40 seconds ends it.
        """
        last, patience = after, self._sender.patience(sending.STREAM_ATTEMPTS)
        while True:
            try:
                # Asked first: if the job has ended by now, the stream to come holds its end.
                ended = self._read(Job, self._sender.send_once("GET", _path(job_id))).ended
                for event in self._sender.stream(_path(job_id, "events"), last):
                    last = event.id or last
                    patience.renew()
                    yield event
                    if event.ends_job:
                        return
                if ended:
                    return
                time.sleep(sending.RECONNECT_PAUSE)  # it was closed in good order; a browser waits, too
            except ApiError as trouble:
                patience.pause(trouble)

    def wait(self, job_id: str) -> Job:
        """The job once it has ended, however it ended."""
        for _ in self.events(job_id):
            pass
        return self.get(job_id)

    def queue(self) -> dict[str, Any]:
        """How long the lines are, what runs where, which workers live."""
        return self._read(Document, self._sender.send("GET", "/v1/queue")).root

    # Fetching.

    def result(self, job_id: str) -> bytes:
        """The finished picture, a PNG. Raises ApiError `not_ready` while there is none."""
        return self._sender.send("GET", _path(job_id, "result")).content

    def preview(self, job_id: str) -> bytes:
        """The picture as it is now, a small JPEG. Raises ApiError `not_ready` while there is none."""
        return self._sender.send("GET", _path(job_id, "preview")).content

    def provenance(self, job_id: str) -> dict[str, Any]:
        """What made the picture: inputs' hashes, recipe, seed, weights, versions. Raises as `result` does."""
        return self._read(Document, self._sender.send("GET", _path(job_id, "provenance"))).root

    # Steering.

    def cancel(self, job_id: str) -> Job:
        """Stop and keep nothing but the preview. Canceling a canceled job is no error."""
        return self._steer(job_id, "cancel")

    def finish(self, job_id: str) -> Job:
        """Stop now and keep the best picture so far. Raises ApiError `not_ready` before the first step."""
        return self._steer(job_id, "finish")

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended, with its pictures. Raises ApiError `wrong_state` before."""
        self._sender.send("DELETE", _path(job_id), harmless=False)

    def _steer(self, job_id: str, wish: str) -> Job:
        try:
            return self._read(Job, self._sender.send("POST", _path(job_id, wish)))
        except ApiError as error:
            if error.code != "wrong_state":
                raise
            job = self.get(job_id)
            # Granted before: the answer may have been lost on its way, and the wish sent again.
            if job.state == JobState.CANCELED if wish == "cancel" else job.stopped_early:
                return job
            raise

    def _read(self, model: type[Model], response: httpx2.Response) -> Model:
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            detail = f"{self.base_url} answers, but not as Easel does; is EASEL_URL right?"
            raise ApiError(detail, code="not_easel", status=response.status_code) from error


def _path(job_id: str, *more: str) -> str:
    return "/".join(("/v1/jobs", quote(job_id, safe=""), *more))


def _form(content: Picture, styles: Picture | Sequence[Picture], recipe: Recipe, tier: str | None) -> dict[str, Any]:
    """The multipart body of `POST /v1/jobs`."""
    several = [styles] if isinstance(styles, Picture) else styles
    fields = {"recipe": json.dumps(recipe_fields(recipe))} | ({"tier": tier} if tier else {})
    return {"files": [("content", _file(content)), *(("style", _file(style)) for style in several)], "data": fields}


def _file(picture: Picture) -> tuple[str, bytes]:
    """(name, bytes) of an upload."""
    return ("image", picture) if isinstance(picture, bytes) else (Path(picture).name, Path(picture).read_bytes())


def recipe_fields(recipe: Recipe) -> dict[str, Any]:
    """A recipe as the fields to send. Raises ApiError for a file that holds no JSON object."""
    if isinstance(recipe, str):
        return {"preset": recipe}
    if not isinstance(recipe, Path):
        return dict(recipe or {})
    try:
        return dict(json.loads(recipe.read_text()))
    except (ValueError, TypeError) as error:
        raise ApiError(f"The recipe file {recipe} is not a JSON object: {error}.", code="invalid_recipe") from error
