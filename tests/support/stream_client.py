"""A client of the API's event streams that reads one event at a time."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2

from support.fixtures.api import PHOTO, STYLE, Server


class StreamClient:
    """A client of one stream. It skips estimates by default, because their timing is not deterministic."""

    def __init__(self, response: httpx2.Response, *, estimates: bool = False) -> None:
        self.response = response
        self._estimates = estimates
        self._lines = response.iter_lines()

    def next(self) -> dict[str, Any]:
        """Return the next event without comments; {} at the end of the stream."""
        event: dict[str, Any] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if name in {"id", "event"}:
                event[name] = value
            elif name == "data":
                event["data"] = json.loads(value)
            elif not line and "event" in event:
                if self._estimates or event["event"] != "estimate":
                    return event
                event = {}
        return {}

    def rest(self) -> list[dict[str, Any]]:
        """Return all events until the end of the stream."""
        return list(iter(self.next, {}))


@contextmanager
def watch(server: Server, path: str, *, estimates: bool = False, **options: Any) -> Iterator[StreamClient]:
    """Open a stream."""
    with server.http.stream("GET", path, **options) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield StreamClient(response, estimates=estimates)


def submit_to(server: Server) -> str:
    """Submit a valid job and return its ID."""
    files = {"content": ("a.png", PHOTO), "style": ("b.png", STYLE)}
    response = server.http.post("/v1/jobs", files=files, data={"recipe": '{"preset": "fast", "size": 96}'})
    assert response.status_code == 202, response.text
    return str(response.json()["id"])
