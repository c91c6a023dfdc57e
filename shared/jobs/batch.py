"""What a batch has besides its jobs."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final, Self

from pydantic import BaseModel

from shared.errors import BlobMissing
from shared.jobs.job import Job
from shared.storage import BlobStore, keys

_VERSION: Final = 1
"""Of contact sheets. Increase it when the same results give another picture."""


def contact_sheet_key(batch_id: str, jobs: Sequence[Job]) -> str | None:
    """Return the key of the contact sheet of a batch with these jobs; None if none of them has a result."""
    if not any(job.result for job in jobs):
        return None
    text = json.dumps([_VERSION, [[job.id, job.state, job.result] for job in jobs]])
    return keys.contact_sheet(batch_id, hashlib.sha256(text.encode()).hexdigest()[:16])


class SheetAttempts(BaseModel):
    """The attempts to make a contact sheet, stored beside it.

    Deleted when the sheet is stored, or when a job is deleted.
    """

    count: int = 0  # begun, so that one which kills the process counts, too
    error: str | None = None  # for people; there is no other attempt then

    @classmethod
    def read(cls, blobs: BlobStore, sheet_key: str) -> Self:
        """Return the attempts at the sheet with this key; none if they cannot be read."""
        try:
            return cls.model_validate_json(blobs.get(keys.contact_sheet_attempts(sheet_key)))
        except (BlobMissing, ValueError):
            return cls()

    def write(self, blobs: BlobStore, sheet_key: str) -> None:
        """Store them."""
        key = keys.contact_sheet_attempts(sheet_key)
        blobs.put(key, self.model_dump_json().encode(), content_type="application/json")
