"""Celery as a doorbell: a message says "there is work in tier T" and names no job.

Who gets which job is decided by the ledger alone, so a bell that is lost, doubled or late does no harm
(docs/decisions/0001-bells.md).
"""

from typing import Any, Final

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from shared.redis_client import translated
from shared.settings import Settings

BELL: Final = "easel.bell"
"""The one task, called by this name so that the API need not import the worker."""

log = structlog.get_logger(__name__)


def queue_name(tier: str) -> str:
    """The Celery queue on which a tier's bells ring."""
    return f"easel.{tier}"


def celery_app(settings: Settings) -> Celery:
    """The configuration that both sides share. Time-outs are explicit: kombu's own would wait for ever."""
    app = Celery("easel", broker=settings.redis_url.replace("unix://", "redis+socket://"))
    app.conf.update(
        task_default_queue=queue_name(settings.tiers[0]),
        task_ignore_result=True,
        task_acks_late=False,  # delivery decides nothing, so no visibility time-out can hand a job out twice
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # our own log lines go there
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 2.5,  # a bell that is not rung in time is rung by the reaper; BRPOP waits a second
            "socket_connect_timeout": 1,
            "retry_on_timeout": False,
            "max_retries": 1,
        },
    )
    return app


class Dispatcher:
    """Rings and counts bells."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self._app = app
        self._redis: Any = client

    def wake(self, tier: str) -> bool:
        """Wake one idle worker of the tier; False where that failed, which only costs time: the reaper rings again."""
        try:
            self._app.send_task(BELL, queue=queue_name(tier), retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("bell_not_rung", tier=tier, error=str(error))
            return False
        return True

    def pending(self, tier: str) -> int:
        """Bells rung that no worker has heard yet."""
        with translated():
            return int(self._redis.llen(queue_name(tier)))
