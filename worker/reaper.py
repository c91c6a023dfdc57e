"""Puts right what others left behind: lost leases, lost bells, unsealed ends, a Redis that lost its memory.

Any number may run at once, beside any number of workers: each act is atomic or harmless to repeat.
"""

import threading
import time
from typing import Final

import structlog

from shared import truth
from shared.errors import AttemptsExhausted, EaselError, LedgerUnavailable
from shared.job import JobError
from shared.ports import Ports, establish

log = structlog.get_logger(__name__)

_SEAL_AFTER_SECONDS: Final = 10.0
_SWEEP_SECONDS: Final = 6 * 3600.0
_YOUNG_SECONDS: Final = 24 * 3600.0


class Reaper:
    """One round every EASEL_REAPER_SECONDS."""

    def __init__(self, ports: Ports) -> None:
        self.ports = ports
        self._sweep_at = time.monotonic() + _SWEEP_SECONDS
        self._away_at = time.monotonic()  # when Redis was last found away; nobody knows what was before we came

    def run(self, stop: threading.Event) -> None:
        """Serve until `stop` is set; survives whatever a round meets."""
        while True:
            try:
                self.round()
            except LedgerUnavailable as error:
                self._away_at = time.monotonic()
                log.warning("ledger_away", detail=error.detail)
            except EaselError as error:
                log.warning("round_cut_short", code=error.code, detail=error.detail)
            except Exception:  # the next round may go better, and without rounds nothing is ever put right
                log.exception("round_cut_short")
            if stop.wait(self.ports.settings.reaper_seconds):
                return

    def round(self) -> None:
        """Heal, reap, ring, seal, and now and then sweep. Raises what the ledger and the blob store raise."""
        if not establish(self.ports):
            log.warning("ledger_lost", restored=truth.reconcile(self.ports))
        if self._leases_can_be_judged():
            self._reap()
        self._top_up_bells()
        for job_id in self.ports.ledger.unsealed(older_than_seconds=_SEAL_AFTER_SECONDS):
            truth.seal(self.ports.ledger, self.ports.blobs, job_id)
        if time.monotonic() > self._sweep_at:
            self._sweep_at = time.monotonic() + _SWEEP_SECONDS
            log.info("swept", inputs=truth.sweep(self.ports.blobs, older_than_seconds=_YOUNG_SECONDS))

    def _leases_can_be_judged(self) -> bool:
        """While Redis was away nobody could renew: everyone gets one lease's time to do so first."""
        grace = self.ports.settings.lease_seconds
        return time.monotonic() - self._away_at > grace and self.ports.ledger.uptime() > grace

    def _reap(self) -> None:
        limit = self.ports.settings.attempts_limit
        detail = f"The job's worker died or hung {limit} times without a new checkpoint; see the workers' logs."
        exhausted = JobError(code=AttemptsExhausted.code, detail=detail)
        for job_id, state in self.ports.ledger.reap(attempts_limit=limit, exhausted=exhausted).items():
            log.warning("lease_lost", job=job_id, now=str(state))

    def _top_up_bells(self) -> None:
        """As many bells as there is work, and no more than there are workers to hear them."""
        workers = self.ports.overview.workers()
        for tier in self.ports.settings.tiers:
            wanted = min(self.ports.overview.depth(tier), sum(tier in worker.tiers for worker in workers))
            for _ in range(wanted - self.ports.bells.hanging(tier)):
                self.ports.bells.ring(tier)
