"""Sends the outbox's events to the jobs' webhooks, signed per Standard Webhooks (https://www.standardwebhooks.com).

Any number of senders may run at the same time: an event is held by one of them at a time (shared/ledger/outbox.py).
"""

import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Final

import structlog
from standardwebhooks import Webhook as Signer

from easel import __version__
from easel.models import JobState
from shared.errors import EaselError, JobNotFound, StorageUnavailable
from shared.jobs.job import WEBHOOK_RETRY_SECONDS, Job
from shared.jobs.webhook import WebhookPayload
from shared.ledger.outbox import DeliveryRecord, OutboxEvent
from shared.services import Services
from shared.settings import Settings
from shared.tenants.webhook_secrets import signing_secrets
from worker.maintenance import metrics
from worker.webhooks.http import GONE, DeliveryFailed, WebhookClient, WebhookResponse

log = structlog.get_logger(__name__)

MAX_DELIVERIES: Final = 16
"""Deliveries at the same time."""
MAX_DELIVERIES_PER_RECEIVER: Final = 4
"""Of those, so that a receiver that hangs leaves room for others."""

_IDLE_SECONDS: Final = 1.0
_STORE_SECONDS: Final = 15.0  # between tries to read a tenant's secrets from a blob store that is unavailable
_LEASE_FACTOR: Final = 6  # times the limit of a delivery, because resolving the name comes before it
_MAX_RETRY_AFTER: Final = 86_400.0
_RANDOM: Final = random.SystemRandom()


class WebhookSender:
    """Takes events from the outbox and delivers each in a thread."""

    def __init__(self, services: Services) -> None:
        settings = self.settings = services.settings
        self.services = services
        self._client = WebhookClient(private=settings.webhook_private, seconds=settings.webhook_seconds)
        self._slots = threading.Semaphore(MAX_DELIVERIES)
        self._in_progress = Counter[str]()  # by receiver
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then wait for deliveries in progress. Raises LedgerUnavailable."""
        while not stop.is_set():
            if not (self._slots.acquire(timeout=_IDLE_SECONDS) and self._start_delivery()):
                stop.wait(_IDLE_SECONDS)
        deadline = time.monotonic() + self.settings.webhook_seconds
        for _ in range(MAX_DELIVERIES):
            self._slots.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def take(self) -> OutboxEvent | None:
        """Take the next event for a receiver that has fewer than MAX_DELIVERIES_PER_RECEIVER; None if there is none."""
        with self._lock:
            busy = [name for name, count in self._in_progress.items() if count >= MAX_DELIVERIES_PER_RECEIVER]
        return self.services.outbox.take(lease_seconds=_LEASE_FACTOR * self.settings.webhook_seconds, busy=busy)

    def deliver(self, event: OutboxEvent) -> None:
        """Make one attempt to deliver the event, and record it. Raises LedgerUnavailable, LedgerLost."""
        at, response = time.time(), None
        try:
            response = self._post(event)
            error = response.error
        except DeliveryFailed as failure:
            error = str(failure)
        except JobNotFound:
            return  # the job was deleted, and its events with it
        except StorageUnavailable as unavailable:  # an outage must not use up the attempts
            log.warning("waiting_for_service", event_id=event.id, code=unavailable.code, detail=unavailable.detail)
            self.services.outbox.postpone(event, _STORE_SECONDS)
            return
        except EaselError:
            raise
        except Exception:  # an attempt that is not recorded would be repeated forever
            log.exception("delivery_crashed", event_id=event.id)
            error = "The sender failed; its log has the details."
        gone = response is not None and response.status == GONE
        factor = self.settings.webhook_backoff_factor
        retry_in = retry_delay(event.attempt, factor, response) if error and not gone else None
        delivery = DeliveryRecord(
            id=event.id,
            event=event.event,
            attempt=event.attempt,
            at=at,
            status=response.status if response else None,
            error=error,
            next_attempt_at=time.time() + retry_in if retry_in is not None else None,
            delivered=error is None,
        )
        if self.services.outbox.record_delivery(event, delivery, retry_in=retry_in, gone=gone):
            metrics.record_attempt(delivered=error is None, dead=error is not None and retry_in is None)
        log.info("webhook_attempted", event_id=event.id, attempt=event.attempt, error=error)

    def _start_delivery(self) -> bool:
        """Use the slot that was acquired; False, with the slot released, if there is nothing to deliver."""
        event = None
        try:
            event = self.take()
        finally:
            if event is None:
                self._slots.release()
        if event:
            self._count(event, 1)
            threading.Thread(target=self._run_delivery, args=(event,), name="delivery", daemon=True).start()
        return event is not None

    def _run_delivery(self, event: OutboxEvent) -> None:
        structlog.contextvars.bind_contextvars(job=event.job_id)  # of this thread
        try:
            self.deliver(event)
        except EaselError as error:
            log.warning("delivery_not_recorded", event_id=event.id, detail=error.detail)  # it is sent again
        finally:
            self._count(event, -1)
            self._slots.release()

    def _count(self, event: OutboxEvent, change: int) -> None:
        with self._lock:
            self._in_progress[event.receiver] += change
            self._in_progress += Counter()  # drops receivers with a count of zero

    def _post(self, event: OutboxEvent) -> WebhookResponse:
        job = self.services.ledger.get(event.job_id)
        structlog.contextvars.bind_contextvars(tenant=job.tenant, request_id=job.request.request_id)
        if job.request.webhook is None:  # in a record that another program wrote
            raise DeliveryFailed("The job has no webhook.")
        body, now = payload(job, event.event, self.settings), datetime.now(UTC)
        signers = [Signer(secret) for secret in signing_secrets(self.settings, self.services.blobs, job.tenant)]
        headers = {
            "content-type": "application/json",
            "user-agent": f"Easel/{__version__}",
            "webhook-id": event.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(event.id, now, body.decode()) for signer in signers),
        }
        return self._client.post(job.request.webhook.url, headers, body)


def retry_delay(attempt: int, factor: float, response: WebhookResponse | None) -> float | None:
    """Return the seconds between the failure of attempt number `attempt` and the next; None after the last.

    The standard delay is multiplied by `factor`. A receiver may ask for more, up to a day, with Retry-After.
    """
    if attempt > len(WEBHOOK_RETRY_SECONDS):
        return None
    standard = WEBHOOK_RETRY_SECONDS[attempt - 1] * factor * _RANDOM.uniform(1, 1.2)  # spreads retries in time
    return max(standard, min(response.retry_after, _MAX_RETRY_AFTER)) if response else standard


def payload(job: Job, event: str, settings: Settings) -> bytes:
    """Return the JSON that is signed and sent: the same at every attempt, even if the job has changed since.

    Two things may differ: its URLs, if EASEL_PUBLIC_URL was changed in between; and `timestamp`, if Redis was lost: a
    new start's, or the end as stored in the blob store.
    """
    request, started = job.request, event == "job.started"
    data = {
        "id": job.id,
        "state": JobState.RUNNING if started else job.state,
        "tier": request.tier,
        "created_at": request.created_at,
        "metadata": request.metadata,
        "url": settings.absolute_url(f"/v1/jobs/{job.id}"),
        "result": settings.absolute_url(f"/v1/jobs/{job.id}/result") if job.result and not started else None,
        "error": job.error.model_dump() if job.error and not started else None,
    }
    at = (job.started_at if started else job.completed_at) or request.created_at
    return WebhookPayload.model_validate({"type": event, "timestamp": at, "data": data}).model_dump_json().encode()
