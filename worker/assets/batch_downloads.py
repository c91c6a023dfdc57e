"""Downloads each URL of a batch once for all of its jobs, which this process alone fetches (take_fetch.lua)."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final

import httpx2

from shared.errors import ImageFetchFailed
from worker.assets.image_download import ImageDownload, file_too_large

_ENTRY_BYTES: Final = 4096  # of memory, besides a file
_FILES: Final = 2  # of the largest size


@dataclass
class _Download:
    attempt: int  # of the job that it was begun for
    file: Future[bytes] = field(default_factory=Future)

    def failed(self) -> bool:
        return self.file.done() and self.file.exception() is not None

    def size(self) -> int:
        return _ENTRY_BYTES + (0 if not self.file.done() or self.failed() else len(self.file.result()))


class BatchDownloads:
    """Safe to share between threads. Keeps the files that were used last, and errors."""

    def __init__(self, download: ImageDownload, max_file_bytes: int) -> None:
        self._download, self._max_file_bytes, self._lock = download, max_file_bytes, threading.Lock()
        self._downloads = dict[tuple[str, str], _Download]()  # the one that was used last at the end

    def get(self, batch: str, url: str, max_bytes: int, *, attempt: int) -> bytes:
        """Return the file; waits for a download in progress. Raises ImageFetchFailed.

        An error is that of all jobs of the batch with as many attempts as the job that met it, or fewer: so each has as
        many as it would have alone, and the server gets no more requests than from one of them.
        """
        with self._lock:
            download = self._downloads.pop((batch, url), None)
            begins = download is None or (download.failed() and attempt > download.attempt)
            if download is None or begins:
                download = _Download(attempt)
            self._downloads[batch, url] = download
        if begins:
            try:
                download.file.set_result(self._download.get(url, self._max_file_bytes))
            except BaseException as error:  # noqa: BLE001 - raised below, and in each thread that waits
                download.file.set_exception(error)
            self._evict()
        try:
            content = download.file.result()
        except ImageFetchFailed as error:  # a copy: each job adds what the image is for
            raise ImageFetchFailed(error.detail, **error.extra) from error
        if len(content) > max_bytes:
            raise file_too_large(httpx2.URL(url))
        return content

    def _evict(self) -> None:
        with self._lock:
            size = 0
            for key, download in [*reversed(self._downloads.items())]:
                size += download.size()
                if size > _FILES * self._max_file_bytes:
                    del self._downloads[key]
