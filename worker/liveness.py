"""The file that tells a liveness probe that this process still runs its threads.

It is touched whether or not Redis responds: a restart would not help against an outage, and would interrupt a job.
"""

from pathlib import Path

import structlog

log = structlog.get_logger(__name__)


def touch_liveness_file(path: Path | None) -> None:
    """Create the file of EASEL_LIVENESS_FILE or renew its time."""
    if path is not None:
        try:
            path.touch()
        except OSError as error:
            log.warning("liveness_file_not_written", path=str(path), error=str(error))
