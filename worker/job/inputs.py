"""Reading of a claimed job's blobs: its images and checkpoints."""

import numpy as np

from shared.errors import BlobMissing, StorageUnavailable
from shared.images import decode
from shared.services import stored_identity
from shared.storage import keys
from worker.job.session import JobSession
from worker.retry import RetryUntilAvailable


class JobInputs:
    """Reads blobs, and waits for a store that is unavailable."""

    def __init__(self, session: JobSession, retry: RetryUntilAvailable) -> None:
        self._session, self._retry = session, retry

    def image(self, sha256: str) -> np.ndarray:
        """Return an input image, (H, W, 3) uint8. Raises BlobMissing."""
        data = self.read(keys.input_image(sha256))
        return np.asarray(decode(data, max_pixels=self._session.settings.max_pixels))

    def read(self, key: str) -> bytes:
        """Return a blob. Raises BlobMissing."""
        return self._retry(lambda: self._read(key))

    def _read(self, key: str) -> bytes:
        """Read a blob. Its absence counts only in a store with an identity; without, the disk may not be mounted."""
        try:
            return self._session.blobs.get(key)
        except BlobMissing as error:
            if stored_identity(self._session.blobs) is None:
                raise StorageUnavailable("The blob store is empty; is its disk mounted?") from error
            raise
