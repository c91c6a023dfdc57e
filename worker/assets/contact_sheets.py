"""Makes the contact sheet of a batch: its results in a grid, each with what sets it apart."""

from collections.abc import Sequence
from typing import Final

import structlog
from PIL import Image

from easel.models import TERMINAL
from shared.errors import BlobMissing, EaselError, Unavailable
from shared.imaging.encoding import encode_png
from shared.imaging.images import decode
from shared.jobs.batch import SheetAttempts, contact_sheet_key
from shared.jobs.job import Job
from shared.services import Services
from shared.storage import keys
from worker.assets.captions import captions, common_facts
from worker.assets.sheet_layout import PAPER, Tile, column_count, draw_sheet, tile_side
from worker.assets.task_slots import TaskSlots

log = structlog.get_logger(__name__)

_MISSING_SIDE: Final = 256  # of a job whose photo's size is unknown
_GROUP: Final = "contact sheets"
_MAX_ATTEMPTS: Final = 3


class ContactSheetMaker:
    """Safe to share between threads."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._slots = TaskSlots(1)

    def make(self, batch_id: str) -> None:
        """Make and store the contact sheet, unless it is there, or not all jobs have ended; later if another is made.

        Raises Unavailable; the reaper then sends the task again.
        """
        if not self._slots.acquire(_GROUP, batch_id):
            return
        sheets = self._services.contact_sheets
        try:
            sheets.done(batch_id) if self._make(batch_id) else sheets.retry(batch_id)
        finally:
            if next_id := self._slots.release(_GROUP):
                self._services.dispatcher.make_contact_sheet(next_id)

    def _make(self, batch_id: str) -> bool:
        """Return whether there is nothing left to do, also after the last failed attempt."""
        blobs, jobs = self._services.blobs, self._jobs(batch_id)
        key = contact_sheet_key(batch_id, jobs)
        if key is None or any(job.state not in TERMINAL for job in jobs):
            return True
        if blobs.exists(key):
            blobs.delete(keys.contact_sheet_attempts(key))  # of a process that failed where another one did not
            return True
        earlier = SheetAttempts.read(blobs, key)
        if earlier.error or earlier.count >= _MAX_ATTEMPTS:
            reason = "The last attempt did not end; maybe its process had too little memory."
            SheetAttempts(count=earlier.count, error=earlier.error or _failure(reason)).write(blobs, key)
            return True
        attempts = SheetAttempts(count=earlier.count + 1)
        try:
            pictures = self._pictures(jobs)  # first, so that an outage or a restart meanwhile does not count
            attempts.write(blobs, key)
            sheet = encode_png(_draw(jobs, pictures))
        except Unavailable:
            raise
        except Exception as error:
            log.exception("contact_sheet_failed", batch=batch_id, attempt=attempts.count)
            if attempts.count >= _MAX_ATTEMPTS:
                reason = error.detail if isinstance(error, EaselError) else f"{type(error).__name__}."
                attempts.error = _failure(reason)
            attempts.write(blobs, key)
            return attempts.error is not None
        earlier.write(blobs, key)  # before the sheet is stored: a failure of that does not count
        blobs.put(key, sheet, content_type="image/png")
        current = contact_sheet_key(batch_id, self._jobs(batch_id))  # another one if a job was deleted meanwhile
        for blob in list(blobs.list(keys.contact_sheets_prefix(batch_id))):
            if blob.key != current:
                blobs.delete(blob.key)
        log.info("contact_sheet_made", batch=batch_id, jobs=len(jobs))
        return True

    def _jobs(self, batch_id: str) -> Sequence[Job]:
        return self._services.ledger.get_many(self._services.ledger.batch_ids(batch_id))

    def _pictures(self, jobs: Sequence[Job]) -> Sequence[Image.Image]:
        side = tile_side(len(jobs))
        return [self._picture(job, side) for job in jobs]

    def _picture(self, job: Job, side: int) -> Image.Image:
        """Return the result, at most `side` pixels wide and high; without one, an empty picture of its shape."""
        if job.result:
            try:
                data = self._services.blobs.get(job.result)
                image = decode(data, max_pixels=self._services.settings.max_pixels, background=PAPER)
            except (BlobMissing, EaselError) as error:
                if isinstance(error, Unavailable):
                    raise
                log.warning("result_not_shown", job=job.id, code=error.code)
            else:
                image.thumbnail((side, side), Image.Resampling.LANCZOS)
                return image
        width, height = job.request.width or _MISSING_SIDE, job.request.height or _MISSING_SIDE
        scale = side / max(width, height)
        return Image.new("RGB", (max(1, round(width * scale)), max(1, round(height * scale))), "#e9e6e0")


def _draw(jobs: Sequence[Job], pictures: Sequence[Image.Image]) -> Image.Image:
    requests = [job.request for job in jobs]
    rows = zip(jobs, pictures, captions(requests), strict=True)
    tiles = [Tile(picture, text, _note(job)) for job, picture, text in rows]
    return draw_sheet(tiles, column_count(requests), common_facts(requests))


def _failure(reason: str) -> str:
    return (
        f"The contact sheet could not be made in {_MAX_ATTEMPTS} attempts; the reaper's log has the details. {reason}"
    )


def _note(job: Job) -> str:
    """Return what is said on a picture without a result."""
    return "" if job.result else str(job.state)
