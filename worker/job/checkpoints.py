"""A thread next to the loop that writes checkpoints and previews, so that the loop does not wait for the blob store."""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, Self

import structlog

from shared.errors import ClaimLost, Unavailable
from shared.imaging.encoding import encode_jpeg
from shared.recipe import ColorSpace
from shared.storage import keys
from shared.tracing import span
from worker import metrics
from worker.job import checkpoint_format
from worker.job.session import JobSession
from worker.protocols import Iterate

log = structlog.get_logger(__name__)

Write = Callable[[Iterate], None]

_PREVIEW_PIXELS: Final = 512
_MAX_WRITING_SHARE: Final = 0.02  # of the time goes into checkpoints
_JOIN_SECONDS: Final = 3.0
_PREVIEWS_PER_JOB: Final = 100  # the interval grows with the run: a filmstrip needs no more


class CheckpointWriter:
    """Writes some of the iterates as checkpoints and previews, and names them in the record."""

    def __init__(
        self,
        session: JobSession,
        *,
        resumed_from: str | None,
        metadata: dict[str, Any],
        color_space: ColorSpace = "srgb",
    ) -> None:
        """`resumed_from` is the key of the job's checkpoint; `metadata` is saved in each new one with the state.

        `color_space` is that of the iterates; previews are sRGB.
        """
        self._session, self._metadata, self._color_space = session, metadata, color_space
        recorded = (session.job.previous_checkpoint, session.job.checkpoint)
        self._keys = [key for key in recorded if key and key != resumed_from]
        self._keys += [resumed_from] if resumed_from else []  # the valid one last: a damaged one is deleted before it
        self._unrecorded_key: str | None = None  # of a checkpoint that was written but is not in the record
        self._checkpoint_lock = threading.Lock()
        self._memory_error: MemoryError | None = None
        self._checkpoint_due = time.monotonic() + session.settings.checkpoint_seconds
        self._preview_due = time.monotonic()
        self._started_at = self._preview_due - session.job.run_seconds  # over all claims
        self._writes: queue.Queue[tuple[Write, Iterate] | None] = queue.Queue(maxsize=2)
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="checkpoint-writer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(queue.Empty):  # writes that have not begun are dropped
            while True:
                self._writes.get_nowait()
        self._writes.put(None)
        self._thread.join(_JOIN_SECONDS)  # a store that hangs must not delay a drain

    def offer(self, iterate: Iterate) -> None:
        """Queue the writes that are due, unless the store is still busy. Raises the MemoryError of an earlier write."""
        if self._memory_error:
            raise self._memory_error
        now, settings = time.monotonic(), self._session.settings
        if now >= self._preview_due and not self._writes.full():
            self._preview_due = now + max(settings.preview_seconds, (now - self._started_at) / _PREVIEWS_PER_JOB)
            self._writes.put((self.write_preview, iterate))
        if now >= self._checkpoint_due and not self._writes.full():
            self._checkpoint_due = now + settings.checkpoint_seconds
            self._writes.put((self.write_checkpoint, iterate))

    def write_preview(self, iterate: Iterate) -> None:
        """Write a preview in the caller's thread. Raises Unavailable, ClaimLost."""
        key = keys.preview(self._session.job.id, self._session.token, iterate.step)
        with span("write preview", {"easel.job.step": iterate.step}):
            jpeg = encode_jpeg(iterate.image, self._color_space, longest=_PREVIEW_PIXELS)
            self._session.blobs.put(key, jpeg, content_type="image/jpeg")
            self._session.renew(("preview", {"step": iterate.step}), preview=key)

    def write_checkpoint(self, iterate: Iterate) -> None:
        """Write a checkpoint in the caller's thread. Raises Unavailable, ClaimLost."""
        began = time.monotonic()
        key = keys.checkpoint(self._session.job.id, self._session.token, iterate.step)
        with self._checkpoint_lock, span("write checkpoint", {"easel.job.step": iterate.step}):
            if key in self._keys:
                return
            parts: list[bytes | memoryview] = []
            if key != self._unrecorded_key:
                parts = checkpoint_format.dump({**iterate.state(), **self._metadata})
                self._session.blobs.put(key, *parts)
                self._unrecorded_key = key
            previous = self._keys[-1] if self._keys else None
            self._session.renew(checkpoint=key, previous_checkpoint=previous, leases_lost=0)
            self._unrecorded_key = None
            obsolete, self._keys = self._keys[:-1], [*self._keys[-1:], key]
            for old in obsolete:
                self._session.blobs.delete(old)
        seconds = time.monotonic() - began
        metrics.record_checkpoint(seconds, parts)
        self._checkpoint_due = max(self._checkpoint_due, time.monotonic() + seconds / _MAX_WRITING_SHARE)

    def hand_off(self, iterate: Iterate) -> None:
        """Write a checkpoint of the last step in a drain; without Redis, leave a note for the next holder.

        Raises ClaimLost.
        """
        try:
            self._session.retry(self._write_checkpoint_or_note, iterate)
        except Unavailable as error:
            log.warning("last_step_not_recorded", detail=error.detail)

    def _write_checkpoint_or_note(self, iterate: Iterate) -> None:
        try:
            self.write_checkpoint(iterate)
        except Unavailable:
            if self._unrecorded_key:  # the note does not wait for Redis: a service that hangs may end this process
                self._session.write_handoff_note(self._unrecorded_key)
            raise

    def try_write(self, write: Write, iterate: Iterate) -> bool:
        """Return False if a service is unavailable: a later write may succeed. Raises ClaimLost."""
        try:
            write(iterate)
        except Unavailable as error:
            log.warning("write_skipped", error=str(error), cause=str(error.__cause__))
            return False
        return True

    def _run(self) -> None:
        while (item := self._writes.get()) is not None:
            try:
                self.try_write(*item)
            except ClaimLost:  # the loop learns it from the control flags
                pass
            except MemoryError as error:
                self._memory_error = error
            except Exception:  # a job without previews is better than one that stops
                log.exception("checkpoint_writer_failed")
            del item  # an iterate holds all of an optimizer's state
            self._writes.task_done()
