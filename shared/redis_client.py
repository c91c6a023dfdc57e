"""Access to Redis: key prefix, connection, translation of errors, and loading of the Lua scripts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from shared.errors import LedgerLost, LedgerReadOnly, LedgerUnavailable
from shared.jobs.job import TRANSITIONS, WEBHOOK_EVENTS, WEBHOOK_RETRY_SECONDS
from shared.metrics.services import measure_redis_call
from shared.settings import InvalidSettings

NAMESPACE: Final = "easel"
"""Prefix of every key, followed by a colon."""


def connect(url: str, *, timeout: float = 2.0) -> redis.Redis:
    """Return a client that gives up after `timeout` seconds and never silently retries a command.

    Raises InvalidSettings.
    """
    try:
        return redis.Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=timeout,
            socket_connect_timeout=min(timeout, 1.0),
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:  # which may quote a part of the password
        raise InvalidSettings(
            "EASEL_REDIS_URL must be redis://host:port/database, rediss://... or unix:///path; in a password, / is %2F."
        ) from None


@contextmanager
def translate_errors(*, blocking: bool = False) -> Iterator[None]:
    """Raise redis-py's exceptions as LedgerUnavailable, LedgerReadOnly or LedgerLost, and measure the call.

    A `blocking` call waits for news, so its seconds say nothing about Redis.
    """
    with measure_redis_call(blocking=blocking), _translate_errors():
        yield


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except redis.ResponseError as error:
        if "LEDGERLOST" in str(error):
            raise LedgerLost from error
        read_only = isinstance(error, (redis.OutOfMemoryError, redis.ReadOnlyError))  # redis-py cuts off their codes
        if read_only or str(error).startswith("MISCONF"):
            raise LedgerReadOnly("The queue accepts no writes; check Redis' memory and disk.") from error
        if str(error).startswith("BUSY"):
            raise LedgerUnavailable("The queue is busy; try again in a minute.") from error
        raise
    except redis.RedisError as error:
        raise LedgerUnavailable("The queue does not respond; try again in a minute.") from error


def load_script(name: str) -> str:
    """Return the Lua source to run for shared/ledger/scripts/`name`.lua: constants, what all share, then the script."""
    constants = {
        "TRANSITIONS": {state: dict.fromkeys(following, True) for state, following in TRANSITIONS.items()},
        "OUTBOX_KINDS": [event.removeprefix("job.") for event in WEBHOOK_EVENTS],
        "GIVE_UP_SECONDS": sum(WEBHOOK_RETRY_SECONDS),
    }
    shared = map(_read_lua, ("common", "fair_share", "transitions"))
    return "".join([*(_lua_constant(*item) for item in constants.items()), *shared, _read_lua(name)])


def _lua_constant(name: str, value: Any) -> str:
    return f"local {name} = cjson.decode('{json.dumps(value)}')\n"


def _read_lua(name: str) -> str:
    return (resources.files("shared.ledger") / "scripts" / f"{name}.lua").read_text()
