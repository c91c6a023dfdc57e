"""Redis as all of Easel speaks to it: how keys begin, the connection, its errors as ours, and the scripts it runs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import LedgerLost, LedgerReadOnly, LedgerUnavailable
from shared.jobs.job import EVENTS, PAUSES, TRANSITIONS

NAMESPACE: Final = "easel"
"""What every key begins with, before a colon."""


def connect(url: str, *, timeout: float = 2.0) -> redis.Redis:
    """A client that gives up after `timeout` seconds and never silently sends an act twice."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=timeout,
        socket_connect_timeout=min(timeout, 1.0),
        retry=Retry(NoBackoff(), 0),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Redis' own exceptions as ours."""
    try:
        yield
    except redis.ResponseError as error:
        if "LEDGERLOST" in str(error):
            raise LedgerLost from error
        read_only = isinstance(error, (redis.OutOfMemoryError, redis.ReadOnlyError))  # redis-py cuts their names off
        if read_only or str(error).startswith("MISCONF"):
            raise LedgerReadOnly("The queue takes no writes now; see to Redis' memory and disk.") from error
        if str(error).startswith("BUSY"):
            raise LedgerUnavailable("The queue is busy; try again in a minute.") from error
        raise
    except redis.RedisError as error:
        raise LedgerUnavailable("The queue does not answer; try again in a minute.") from error


def script(act: str) -> str:
    """What Redis runs."""
    table = {state: dict.fromkeys(after, True) for state, after in TRANSITIONS.items()}
    events = [event.removeprefix("job.") for event in EVENTS]
    told = {"LEGAL": table, "EVENTS": events, "GIVE_UP_SECONDS": sum(PAUSES)}
    head = "".join(_constant(name, value) for name, value in told.items())
    return head + _lua("common") + _lua(act)


def _constant(name: str, value: Any) -> str:
    return f"local {name} = cjson.decode('{json.dumps(value)}')\n"


def _lua(act: str) -> str:
    return (resources.files("shared.ledger") / "scripts" / f"{act}.lua").read_text()
