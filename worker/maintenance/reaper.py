"""Puts right what others left behind: lost leases, lost bells, unsealed ends, leftovers, a Redis without memory.

It also houses the postman, who sends the webhooks: like all here he is needed once, and may be there often.

Any number may run at once, beside any number of workers: each act is atomic or harmless to repeat.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import structlog

from easel.models import JobError
from shared.errors import AttemptsExhausted, EaselError, JobNotFound, LedgerUnavailable
from shared.recovery import job_files
from shared.services import Services, ensure_paired
from worker.maintenance.garbage_collection import Step, upkeep
from worker.webhooks.sender import Postman

log = structlog.get_logger(__name__)

_SEAL_AFTER_SECONDS: Final = 10.0
_UPKEEP_SECONDS: Final = 6 * 3600.0
_UPKEEP_SHARE: Final = 0.2  # of the time between rounds: lost leases must not wait for it


class Reaper:
    """Watches leases and bells, and tends the store, each every EASEL_REAPER_SECONDS; and has the post sent."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._upkeep: Iterator[Step] = iter(())  # what is left of the present run
        self._upkeep_at = float("-inf")  # when the next one is due, by time.monotonic
        self._away_at = time.monotonic()  # when Redis was last found away; nobody knows what was before we came

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set. Lost leases wait neither for a slow store nor for a receiver of webhooks."""
        beside: dict[str, Callable[[], None]] = {"tend": self.tend}
        if self.services.settings.webhook_secret:
            beside["post"] = partial(Postman(self.services).run, stop)
        threads = [
            threading.Thread(target=self._every, args=(act, stop), name=name, daemon=True)
            for name, act in beside.items()
        ]
        for thread in threads:
            thread.start()
        self._every(self.watch, stop)
        for thread in threads:
            thread.join(self.services.settings.reaper_seconds)

    def _every(self, act: Callable[[], None], stop: threading.Event) -> None:
        """Again and again; survives whatever it meets."""
        while True:
            try:
                act()
            except LedgerUnavailable as error:
                self._away_at = time.monotonic()
                log.warning("ledger_away", detail=error.detail)
            except EaselError as error:
                log.warning("round_cut_short", code=error.code, detail=error.detail)
            except Exception:  # the next round may go better, and without rounds nothing is ever put right
                log.exception("round_cut_short")
            if stop.wait(self.services.settings.reaper_seconds):
                return

    def watch(self) -> None:
        """Reap and ring. Raises what the ledger raises."""
        if self._leases_can_be_judged():
            self._reap()
        self._top_up_bells()

    def tend(self) -> None:
        """Heal, seal, and do some upkeep. Raises what the ledger and the blob store raise."""
        if not ensure_paired(self.services):
            log.warning("ledger_lost", restored=job_files.reconcile(self.services))
        for job_id in self.services.ledger.unsealed(older_than_seconds=_SEAL_AFTER_SECONDS):
            self._seal(job_id)
        if told := Counter[str](step for step in self._steps() if step):
            log.info("upkeep", **told)

    def _leases_can_be_judged(self) -> bool:
        """While Redis was away nobody could renew: everyone gets one lease's time to do so first."""
        grace = self.services.settings.lease_seconds
        return time.monotonic() - self._away_at > grace and self.services.ledger.uptime() > grace

    def _reap(self) -> None:
        limit = self.services.settings.attempts_limit
        detail = f"The job's worker died or hung {limit} times without a new checkpoint; see the workers' logs."
        exhausted = JobError(code=AttemptsExhausted.code, detail=detail)
        for job_id, state in self.services.ledger.reap(attempts_limit=limit, exhausted=exhausted).items():
            log.warning("lease_lost", job=job_id, now=str(state))

    def _seal(self, job_id: str) -> None:
        try:
            job_files.seal(self.services.ledger, self.services.blobs, job_id)
        except JobNotFound:
            return  # deleted meanwhile
        except ValueError:  # a record that this version cannot read must not keep the others waiting
            log.exception("not_sealed", job=job_id)

    def _steps(self) -> Iterator[Step]:
        """Go on with the upkeep where the round before left it; when that is done and it is time, begin anew."""
        enough = time.monotonic() + _UPKEEP_SHARE * self.services.settings.reaper_seconds
        for step in self._upkeep:
            yield step
            if time.monotonic() >= enough:
                return
        if time.monotonic() >= self._upkeep_at:
            self._upkeep_at = time.monotonic() + _UPKEEP_SECONDS
            self._upkeep = upkeep(self.services)

    def _top_up_bells(self) -> None:
        """As many bells as there is work, and no more than there are workers to hear them."""
        workers = self.services.queue_stats.workers()
        for tier in self.services.settings.tiers:
            wanted = min(self.services.queue_stats.depth(tier), sum(tier in worker.tiers for worker in workers))
            for _ in range(wanted - self.services.dispatcher.pending(tier)):
                self.services.dispatcher.wake(tier)
