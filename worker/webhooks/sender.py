"""Sends what is in the outbox to the jobs' webhooks, as https://www.standardwebhooks.com has it.

Any number may run at once: an event is in the hands of one of them (shared/ledger/outbox.py).
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
from shared.errors import EaselError, JobNotFound
from shared.jobs.job import PAUSES, Job
from shared.jobs.webhook import Notice
from shared.ledger.outbox import Delivery, Letter
from shared.services import Services
from worker.webhooks.http import GONE, Answer, Courier, Undelivered

log = structlog.get_logger(__name__)

AT_ONCE: Final = 16
AT_ONCE_TO_ONE: Final = 4
"""So that a receiver that hangs leaves room for the others."""

_IDLE_SECONDS: Final = 1.0
_LEASE_FACTOR: Final = 6  # of the time of one delivery: the resolver may take its own before that
_LONGEST_RETRY_AFTER: Final = 86_400.0
_LUCK: Final = random.SystemRandom()


class Postman:
    """One sender."""

    def __init__(self, services: Services, courier: Courier | None = None) -> None:
        settings = self.settings = services.settings
        self.services = services
        self._courier = courier or Courier(private=settings.webhook_private, seconds=settings.webhook_seconds)
        self._signers = [Signer(secret.get_secret_value()) for secret in settings.webhook_secret]
        self._seats = threading.Semaphore(AT_ONCE)
        self._at_work = Counter[str]()  # by receiver
        self._lock = threading.Lock()

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set, then let what is under way arrive. Raises what the ledger raises."""
        while not stop.is_set():
            if not (self._seats.acquire(timeout=_IDLE_SECONDS) and self._send_next()):
                stop.wait(_IDLE_SECONDS)
        deadline = time.monotonic() + self.settings.webhook_seconds
        for _ in range(AT_ONCE):
            self._seats.acquire(timeout=max(0.0, deadline - time.monotonic()))

    def take(self) -> Letter | None:
        """The next event, unless its receiver has as much at hand as we give to one."""
        with self._lock:
            busy = [receiver for receiver, count in self._at_work.items() if count >= AT_ONCE_TO_ONE]
        return self.services.outbox.take(lease_seconds=_LEASE_FACTOR * self.settings.webhook_seconds, busy=busy)

    def deliver(self, letter: Letter) -> None:
        """Try once, and write down how it went. Raises what the ledger raises."""
        at, answer = time.time(), None
        try:
            answer = self._send(letter)
            complaint = answer.complaint
        except Undelivered as error:
            complaint = str(error)
        except JobNotFound:
            return  # deleted, and the event with it
        except EaselError:
            raise
        except Exception:  # it must not come back for ever
            log.exception("delivery_broke", letter=letter.id)
            complaint = "Something went wrong here; the log has the details."
        gone = answer is not None and answer.status == GONE
        pause = pause_after(letter.attempt, self.settings.webhook_pace, answer) if complaint and not gone else None
        delivery = Delivery(
            id=letter.id,
            event=letter.event,
            attempt=letter.attempt,
            at=at,
            status=answer.status if answer else None,
            error=complaint,
            next_attempt_at=time.time() + pause if pause is not None else None,
            delivered=complaint is None,
        )
        self.services.outbox.settle(letter, delivery, pause=pause, gone=gone)
        log.info("webhook_told", letter=letter.id, attempt=letter.attempt, error=complaint)

    def _send_next(self) -> bool:
        """From the seat that was taken for it; whether there was anything to send."""
        letter = None
        try:
            letter = self.take()
        finally:
            if letter is None:
                self._seats.release()
        if letter:
            self._count(letter, 1)
            threading.Thread(target=self._deliver, args=(letter,), name="deliver", daemon=True).start()
        return letter is not None

    def _deliver(self, letter: Letter) -> None:
        try:
            self.deliver(letter)
        except EaselError as error:
            log.warning("delivery_not_recorded", letter=letter.id, detail=error.detail)  # it is sent again
        finally:
            self._count(letter, -1)
            self._seats.release()

    def _count(self, letter: Letter, change: int) -> None:
        with self._lock:
            self._at_work[letter.receiver] += change
            self._at_work += Counter()  # forgets who has nothing at hand

    def _send(self, letter: Letter) -> Answer:
        job = self.services.ledger.get(letter.job_id)
        if job.request.webhook is None:  # of a record that somebody else wrote
            raise Undelivered("The job has no webhook.")
        body, now = notice(job, letter.event), datetime.now(UTC)
        headers = {
            "content-type": "application/json",
            "user-agent": f"Easel/{__version__}",
            "webhook-id": letter.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signer.sign(letter.id, now, body.decode()) for signer in self._signers),
        }
        return self._courier.post(job.request.webhook.url, headers, body)


def pause_after(attempt: int, pace: float, answer: Answer | None) -> float | None:
    """Seconds until the next try after the try number `attempt` failed; None after the last one."""
    if attempt > len(PAUSES):
        return None
    usual = PAUSES[attempt - 1] * pace * _LUCK.uniform(1, 1.2)  # so that not all come back at once
    return max(usual, min(answer.retry_after, _LONGEST_RETRY_AFTER)) if answer else usual


def notice(job: Job, event: str) -> bytes:
    """What is signed and sent, as JSON: the same at every try, whatever became of the job since.

    Where Redis was lost between, its `timestamp` may be another: that of a new start, or as the blob store has it.
    """
    request, started = job.request, event == "job.started"
    facts = {
        "id": job.id,
        "state": JobState.RUNNING if started else job.state,
        "tier": request.tier,
        "created_at": request.created_at,
        "url": f"/v1/jobs/{job.id}",
        "result": f"/v1/jobs/{job.id}/result" if job.result and not started else None,
        "error": job.error.model_dump() if job.error and not started else None,
    }
    at = (job.started_at if started else job.completed_at) or request.created_at
    return Notice.model_validate({"type": event, "timestamp": at, "data": facts}).model_dump_json().encode()
