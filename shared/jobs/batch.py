"""What a batch has besides its jobs."""

import hashlib
import json
from collections.abc import Sequence
from typing import Final

from shared.jobs.job import Job
from shared.storage import keys

_VERSION: Final = 1
"""Of contact sheets. Increase it when the same results give another picture."""


def contact_sheet_key(batch_id: str, jobs: Sequence[Job]) -> str | None:
    """Return the key of the contact sheet of a batch with these jobs; None if none of them has a result."""
    if not any(job.result for job in jobs):
        return None
    text = json.dumps([_VERSION, [[job.id, job.state, job.result] for job in jobs]])
    return keys.contact_sheet(batch_id, hashlib.sha256(text.encode()).hexdigest()[:16])
