"""Waking workers through Celery: a message says "there is work in tier T" and names no job.

The ledger alone decides which worker gets which job, so a wake-up that is lost, duplicated or late does no harm
(docs/decisions/0001-ledger-in-redis.md).
"""

from typing import Any, Final

import redis
import structlog
from celery import Celery
from kombu.exceptions import OperationalError

from shared.redis_client import translate_errors
from shared.settings import Settings

WAKE_UP_TASK: Final = "easel.wake_up"
"""The only Celery task, sent by name so that the API need not import the worker."""

log = structlog.get_logger(__name__)


def queue_name(tier: str) -> str:
    """Return the name of the Celery queue for a tier's wake-ups."""
    return f"easel.{tier}"


def create_celery_app(settings: Settings) -> Celery:
    """Create the Celery app that API and workers share. Timeouts are explicit: kombu's defaults wait forever."""
    app = Celery("easel", broker=settings.redis_url.replace("unix://", "redis+socket://"))
    app.conf.update(
        task_default_queue=queue_name(settings.tiers[0]),
        task_ignore_result=True,
        task_acks_late=False,  # messages name no job, so a redelivered one cannot start a job twice
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "socket_timeout": 2.5,  # longer than BRPOP's 1 second; the reaper repeats a wake-up that timed out
            "socket_connect_timeout": 1,
            "retry_on_timeout": False,
            "max_retries": 1,
        },
    )
    return app


class Dispatcher:
    """Sends wake-ups and counts pending ones."""

    def __init__(self, app: Celery, client: redis.Redis) -> None:
        self._app = app
        self._redis: Any = client

    def wake(self, tier: str) -> bool:
        """Wake one idle worker of the tier. False if that failed, which only costs time: the reaper tries again."""
        try:
            self._app.send_task(WAKE_UP_TASK, queue=queue_name(tier), retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("wake_up_failed", tier=tier, error=str(error))
            return False
        return True

    def pending(self, tier: str) -> int:
        """Return the number of wake-ups that no worker has received yet."""
        with translate_errors():
            return int(self._redis.llen(queue_name(tier)))
