"""Recovers from failures of others: expired leases, lost wake-ups, ended jobs that are not finalized, a lost Redis.

It also runs garbage collection, the webhook sender and the tasks of the queue `easel.assets`. Any number of reapers and
workers may run at the same time: each operation is atomic or harmless to repeat.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog

from shared.errors import EaselError, JobNotFound, LedgerUnavailable
from shared.recovery import job_files
from shared.recovery.rebuild import rebuild_ledger
from shared.services import Services, ensure_paired
from worker.assets.consumer import AssetWorker
from worker.liveness import touch_liveness_file
from worker.maintenance import metrics
from worker.maintenance.garbage_collection import Effect, collect_garbage
from worker.maintenance.stored_bytes import measure_stored_bytes
from worker.webhooks.sender import WebhookSender

log = structlog.get_logger(__name__)

_FINALIZE_AFTER_SECONDS: Final = 10.0
_MAX_PENDING_FETCHES: Final = 100
_COLLECT_SECONDS: Final = 6 * 3600.0
_COLLECT_SHARE: Final = 0.2  # of the time between rounds, so that finalizing need not wait for garbage collection


class Reaper:
    """Runs recovery and maintenance in rounds, every EASEL_REAPER_SECONDS, and the webhook sender."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._collection: Iterator[Effect] = iter(())  # the rest of the current garbage collection or measurement
        self._next_collection_at = float("-inf")  # time.monotonic
        self._unavailable_at = time.monotonic()  # when Redis was last unavailable; before the start it is unknown

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. Recovery waits neither for a slow blob store nor for receivers of webhooks."""
        others: dict[str, Callable[[], None]] = {
            "maintenance": self.maintain,
            "assets": partial(AssetWorker(self.services).run, stop),
        }
        if self.services.settings.webhook_secret:
            others["webhooks"] = partial(WebhookSender(self.services).run, stop)
        threads = [
            threading.Thread(target=self._run_rounds, args=(name, call, stop), name=name, daemon=True)
            for name, call in others.items()
        ]
        for thread in threads:
            thread.start()
        self._run_rounds("recovery", self.recover, stop)
        for thread in threads:
            thread.join(self.services.settings.reaper_seconds)

    def recover(self) -> None:
        """Reap expired leases and top up wake-ups. Raises LedgerUnavailable, LedgerReadOnly."""
        touch_liveness_file(self.services.settings.liveness_file)
        if self._lease_grace_period_over():
            self.reap_expired_leases()
        self.top_up_wake_ups()
        self.repeat_fetches()
        self.make_contact_sheets()

    def maintain(self) -> None:
        """Rebuild a lost ledger, finalize jobs, and do a part of the garbage collection. Raises Unavailable."""
        if not ensure_paired(self.services):
            log.warning("ledger_lost", restored=rebuild_ledger(self.services))
        self.services.ledger.list_tenants()
        for job_id in self.services.ledger.list_unfinalized_ids(older_than_seconds=_FINALIZE_AFTER_SECONDS):
            self._finalize(job_id)
        if counts := Counter[str](effect for effect in self._collect_garbage() if effect):
            log.info("garbage_collected", **counts)

    def reap_expired_leases(self) -> None:
        """Return jobs whose lease expired to the queue. Raises LedgerUnavailable."""
        for job_id, state in self.services.ledger.reap_expired_leases().items():
            log.warning("lease_lost", job=job_id, state=str(state))

    def top_up_wake_ups(self) -> None:
        """Send wake-ups until as many are pending as there are jobs, or workers if these are fewer."""
        workers = self.services.queue_stats.workers()
        for tier in self.services.settings.tiers:
            target = min(self.services.queue_stats.depth(tier), sum(tier in worker.tiers for worker in workers))
            for _ in range(target - self.services.dispatcher.pending(tier)):
                self.services.dispatcher.wake(tier)

    def repeat_fetches(self) -> None:
        """Send the task again of jobs whose images are due to be fetched, unless many tasks are pending."""
        if self.services.dispatcher.pending_assets() < _MAX_PENDING_FETCHES:
            for job_id in self.services.fetches.due():
                self.services.dispatcher.fetch_inputs(job_id)

    def make_contact_sheets(self) -> None:
        """Send the tasks that make the contact sheets of batches that have ended."""
        for batch_id in self.services.contact_sheets.wanted():
            if self.services.contact_sheets.request(batch_id):
                self.services.dispatcher.make_contact_sheet(batch_id)

    def _run_rounds(self, name: str, call: Callable[[], None], stop: threading.Event) -> None:
        """Repeat `call` until `stop` is set, even if it raises."""
        while True:
            failed = True
            try:
                call()
                failed = False
            except LedgerUnavailable as error:
                self._unavailable_at = time.monotonic()
                log.warning("ledger_unavailable", detail=error.detail)
            except EaselError as error:
                log.warning("round_failed", code=error.code, detail=error.detail)
            except Exception:  # the next round may succeed, and without rounds nothing is ever recovered
                log.exception("round_failed")
            metrics.record_round(name, failed=failed)
            if stop.wait(self.services.settings.reaper_seconds):
                return

    def _lease_grace_period_over(self) -> bool:
        """Return whether all workers have had the time of one lease to renew since Redis was last unavailable."""
        writable_seconds = self.services.ledger.writable_seconds()  # a full Redis answers, but no lease can be renewed
        available_seconds = time.monotonic() - self._unavailable_at
        return min(available_seconds, writable_seconds) > self.services.settings.lease_seconds

    def _finalize(self, job_id: str) -> None:
        try:
            job_files.finalize(self.services.ledger, self.services.blobs, job_id)
        except JobNotFound:
            return  # deleted meanwhile
        except ValueError:  # a record that this version cannot read must not block the others
            log.exception("not_finalized", job=job_id)

    def _collect_garbage(self) -> Iterator[Effect]:
        """Continue the garbage collection for a while; start the next if it is complete and the time has come.

        The measurement of stored bytes takes turns with it.
        """
        deadline = time.monotonic() + _COLLECT_SHARE * self.services.settings.reaper_seconds
        for effect in self._collection:
            yield effect
            if time.monotonic() >= deadline:
                return
        if time.monotonic() >= self._next_collection_at:
            self._next_collection_at = time.monotonic() + _COLLECT_SECONDS
            self._collection = collect_garbage(self.services)
        elif self.services.stored_bytes.is_due():
            self._collection = measure_stored_bytes(self.services)
