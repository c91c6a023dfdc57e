"""Celery's messages: wake-ups, which say "there is work in tier T" and name no job, and the tasks that run jobs.

The ledger alone decides which worker gets which job, so a wake-up that is lost, duplicated or late does no harm
(docs/decisions/0001-ledger-in-redis.md). A worker that has claimed a job sends itself the task that runs it, so that
Celery's tools show the job (docs/decisions/0008-jobs-as-celery-tasks.md).
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import redis
import structlog
from celery import Celery
from kombu import Exchange, Queue
from kombu.exceptions import OperationalError

from shared.redis_client import translate_errors
from shared.settings import Settings

WAKE_UP_TASK: Final = "easel.wake_up"
"""Sent by name, so that the API need not import the worker."""

STYLIZE_TASK: Final = "easel.stylize"
"""Runs a claimed job. The task's ID is the job's."""

FETCH_TASK: Final = "easel.fetch_inputs"
"""Fetches the images of a job from their URLs."""

CONTACT_SHEET_TASK: Final = "easel.make_contact_sheet"
"""Makes the contact sheet of a batch."""

ASSETS_QUEUE: Final = "easel.assets"
"""The queue of tasks that are no jobs, such as FETCH_TASK. The reaper runs them."""

_OWN_QUEUE_SECONDS: Final = 60.0
_CLAIM_HEADER: Final = "claim"
_CLAIM_NUMBER_HEADER: Final = "claim_number"

log = structlog.get_logger(__name__)


def queue_name(tier: str) -> str:
    """Return the name of the Celery queue for a tier's wake-ups."""
    return f"easel.{tier}"


def own_queue(worker: str) -> Queue:
    """Return a Celery queue for one start of a worker. It expires when it is not used, and needs milliseconds.

    Each start has another one: two workers that have the same name by mistake must not take each other's tasks.
    """
    name = f"easel.worker.{worker}.{secrets.token_hex(4)}"
    return Queue(name, Exchange(name), routing_key=name, expires=_OWN_QUEUE_SECONDS)


def claim_token(headers: Mapping[str, Any]) -> str:
    """Return the claim's token from the headers of a STYLIZE_TASK. It is no argument, because Flower shows these."""
    return str(headers.get(_CLAIM_HEADER, ""))


def claim_number(headers: Mapping[str, Any]) -> int:
    """Return how often the job was claimed, from the same headers."""
    return int(headers.get(_CLAIM_NUMBER_HEADER, 1))


def create_celery_app(settings: Settings) -> Celery:
    """Create the Celery app that API and workers share. Timeouts are explicit: kombu's defaults wait forever."""
    app = Celery("easel", broker=_broker_url(settings.redis_url))
    app.conf.update(
        # Unpickling a message would run the code of anyone who can write to Redis.
        accept_content=["json"],
        event_serializer="json",
        result_accept_content=["json"],
        result_serializer="json",
        task_serializer="json",
        task_default_queue=queue_name(settings.default_tier),
        task_ignore_result=True,
        task_acks_late=False,  # the ledger knows what runs, so a message need not be delivered again
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_send_task_events=True,
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


def _broker_url(redis_url: str) -> str:
    """Return Redis' URL for kombu, which has another scheme for sockets, and verifies certificates only if told to."""
    parts = urlsplit(redis_url)
    if parts.scheme == "rediss" and "ssl_cert_reqs" not in parse_qs(parts.query):
        return parts._replace(query=f"{parts.query}&ssl_cert_reqs=required").geturl()
    return redis_url.replace("unix://", "redis+socket://", 1)


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

    def run_here(self, queue: Any, job_id: str, token: str, number: int) -> None:
        """Send a worker, in its own queue, the task for its `number`th claim of a job. Raises LedgerUnavailable."""
        headers = {_CLAIM_HEADER: token, _CLAIM_NUMBER_HEADER: number}
        with translate_errors():
            try:
                self._app.send_task(STYLIZE_TASK, (job_id,), task_id=job_id, queue=queue, headers=headers, retry=False)
            except (OperationalError, OSError) as error:
                raise redis.ConnectionError(str(error)) from error

    def fetch_inputs(self, job_id: str) -> bool:
        """Have a job's images fetched. False if that failed, which only costs time: the reaper tries again."""
        return self._send_asset_task(FETCH_TASK, job_id)

    def make_contact_sheet(self, batch_id: str) -> None:
        """Have a batch's contact sheet made. A failure only costs time: the reaper tries again."""
        self._send_asset_task(CONTACT_SHEET_TASK, batch_id)

    def _send_asset_task(self, task: str, subject: str) -> bool:
        try:
            self._app.send_task(task, (subject,), queue=ASSETS_QUEUE, retry=False)
        except (OperationalError, redis.RedisError, OSError) as error:
            log.warning("asset_task_not_sent", task=task, subject=subject, error=str(error))
            return False
        return True

    def pending(self, tier: str) -> int:
        """Return the number of wake-ups that no worker has received yet."""
        return self._length(queue_name(tier))

    def pending_assets(self) -> int:
        """Return the number of messages in the queue of assets."""
        return self._length(ASSETS_QUEUE)

    def _length(self, queue: str) -> int:
        with translate_errors():
            return int(self._redis.llen(queue))
