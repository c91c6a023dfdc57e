"""Reading of a claimed job's blobs: its images and checkpoints."""

import numpy as np

from shared.errors import BlobMissing, StorageUnavailable
from shared.imaging.deep_color import decode_png
from shared.imaging.transparency import Alpha, separate_alpha
from shared.services import stored_identity
from shared.storage import keys
from worker.job.session import JobSession
from worker.retry import RetryUntilAvailable


class JobInputs:
    """Reads blobs, and waits for a store that is unavailable."""

    def __init__(self, session: JobSession, retry: RetryUntilAvailable) -> None:
        self._session, self._retry = session, retry

    def image(self, sha256: str) -> np.ndarray:
        """Return the colors of an input image, (H, W, 3) uint8 or uint16. Raises BlobMissing, BrokenImage."""
        return self.photo(sha256)[0]

    def photo(self, sha256: str) -> tuple[np.ndarray, Alpha | None]:
        """Return the colors of an input image and its alpha, None if it is opaque. Raises BlobMissing, BrokenImage."""
        return separate_alpha(decode_png(self.read(keys.input_image(sha256))))

    def style(self, sha256: str) -> np.ndarray:
        """Return a style image; if it is not opaque, with its alpha as a mask. Raises BlobMissing, BrokenImage."""
        pixels = decode_png(self.read(keys.input_image(sha256)))
        return np.dstack([separate_alpha(pixels)[0], pixels[..., 3:]])

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
