"""A thread beside the loop that writes checkpoints and previews, so that the loop does not wait for the store."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Self

import structlog

from shared.errors import ClaimLost, Unavailable
from shared.images import encode_jpeg
from shared.ledger.ledger import Claim
from shared.services import Services
from shared.storage import keys
from worker.job import checkpoint_format
from worker.protocols import Frame

log = structlog.get_logger(__name__)

_PREVIEW_PIXELS: Final = 512
_WRITING_SHARE: Final = 0.02  # of the time at most goes into checkpoints
_JOIN_SECONDS: Final = 3.0
_PREVIEWS_PER_JOB: Final = 100  # the interval grows with the run: a filmstrip needs no more


class Scribe:
    """Takes an iterate now and then; writes it in the background; names it in the record."""

    def __init__(self, services: Services, claim: Claim, *, resumed: str | None, note: dict[str, Any]) -> None:
        """`resumed` is the checkpoint that the job goes on from; `note` is kept in each new one beside the state."""
        self._ports, self._claim, self._note = services, claim, note
        known = (claim.job.previous_checkpoint, claim.job.checkpoint)
        self._kept = [key for key in known if key and key != resumed]
        self._kept += [resumed] if resumed else []  # the good one last: a damaged one is deleted before it
        self._writing = threading.Lock()
        self._shortage: MemoryError | None = None
        self.unnamed: str | None = None  # the key of a checkpoint that was written, but is not in the record
        self._checkpoint_due = time.monotonic() + services.settings.checkpoint_seconds
        self._preview_due = time.monotonic()
        self._began = self._preview_due - claim.job.run_seconds  # over all claims
        self._orders: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=2)
        self._thread = threading.Thread(target=self._run, name="scribe", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(queue.Empty):  # what waits here is not worth waiting for
            while True:
                self._orders.get_nowait()
        self._orders.put(None)
        self._thread.join(_JOIN_SECONDS)  # a store that hangs must not keep a worker that is told to leave

    def offer(self, frame: Frame) -> None:
        """Write what is due; skips where the store is still busy with the last. Raises an earlier MemoryError."""
        if self._shortage:
            raise self._shortage
        now = time.monotonic()
        if now >= self._preview_due and not self._orders.full():
            self._preview_due = now + max(self._ports.settings.preview_seconds, (now - self._began) / _PREVIEWS_PER_JOB)
            self._orders.put(lambda: self._preview(frame))
        if now >= self._checkpoint_due and not self._orders.full():
            self._checkpoint_due = now + self._ports.settings.checkpoint_seconds
            self._orders.put(lambda: self._checkpoint(frame))

    def keep(self, frame: Frame) -> None:
        """Write a checkpoint now, in the caller's thread. Raises Unavailable, ClaimLost."""
        self._checkpoint(frame)

    def can_keep(self, frame: Frame) -> bool:
        """The same; False where a part is away. Raises ClaimLost."""
        try:
            self.keep(frame)
        except Unavailable as error:
            log.warning("not_written", job=self._claim.job.id, error=str(error), cause=str(error.__cause__))
            return False
        return True

    def show(self, frame: Frame) -> None:
        """Write a preview now, in the caller's thread. Raises Unavailable, ClaimLost."""
        self._preview(frame)

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            self._carry_out(order)
            self._orders.task_done()
            del order  # a frame holds all of an optimiser's state

    def _carry_out(self, order: Callable[[], None]) -> None:
        try:
            order()
        except Unavailable as error:  # the next one may get through
            log.warning("not_written", job=self._claim.job.id, error=str(error), cause=str(error.__cause__))
        except ClaimLost:  # the loop hears of it from the heartbeat
            return
        except MemoryError as error:
            self._shortage = error
        except Exception:  # a job without previews is better than one that stands still
            log.exception("scribe_stumbled", job=self._claim.job.id)

    def _preview(self, frame: Frame) -> None:
        key = keys.preview(self._claim.job.id, self._claim.token, frame.step)
        self._ports.blobs.put(key, encode_jpeg(frame.image, longest=_PREVIEW_PIXELS), content_type="image/jpeg")
        self._tell(("preview", {"step": frame.step}), preview=key)

    def _checkpoint(self, frame: Frame) -> None:
        began = time.monotonic()
        key = keys.checkpoint(self._claim.job.id, self._claim.token, frame.step)
        with self._writing:
            if key in self._kept:
                return
            if key != self.unnamed:
                self._ports.blobs.put(key, *checkpoint_format.dump({**frame.state(), **self._note}))
                self.unnamed = key
            before = self._kept[-1] if self._kept else None
            self._tell(None, checkpoint=key, previous_checkpoint=before, attempts=0)
            self.unnamed = None
            for old in self._kept[:-1]:
                self._ports.blobs.delete(old)
            self._kept = [*self._kept[-1:], key]
        cost = time.monotonic() - began
        self._checkpoint_due = max(self._checkpoint_due, time.monotonic() + cost / _WRITING_SHARE)

    def _tell(self, event: tuple[str, Any] | None, **fields: Any) -> None:
        lease = self._ports.settings.lease_seconds
        self._ports.ledger.renew(self._claim, lease_seconds=lease, event=event, **fields)
