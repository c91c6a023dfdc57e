"""Downloads each URL of a batch once for all of its jobs, which this process alone fetches (take_fetch.lua)."""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from shared.errors import EaselError, ImageFetchFailed
from worker.assets.image_download import ImageDownload, file_too_large

_ENTRY_BYTES: Final = 4096  # of memory, besides a file
_FILES: Final = 2  # of the largest size


@dataclass(frozen=True)
class _Failure:
    """What to raise. A raised exception has references to the frames of its job, and so to the job's files."""

    kind: type[EaselError]
    detail: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Download:
    attempt: int  # of the job that it was begun for
    result: Future[bytes | _Failure] = field(default_factory=Future)

    def failed(self) -> bool:
        return self.result.done() and isinstance(self.result.result(), _Failure)

    def size(self) -> int:
        content = self.result.result() if self.result.done() else b""
        return _ENTRY_BYTES + (len(content) if isinstance(content, bytes) else 0)


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
            self._run(download, url)
            self._evict()
        content = download.result.result()
        if isinstance(content, _Failure):
            raise content.kind(content.detail, **content.extra)
        if len(content) > max_bytes:
            raise file_too_large(httpx2.URL(url))
        return content

    def _run(self, download: _Download, url: str) -> None:
        try:
            download.result.set_result(self._download.get(url, self._max_file_bytes))
        except ImageFetchFailed as error:
            download.result.set_result(_Failure(ImageFetchFailed, error.detail, error.extra))
        except BaseException:
            download.result.set_result(_Failure(EaselError))  # for the others: an internal error
            raise

    def _evict(self) -> None:
        with self._lock:
            size = 0
            for key, download in [*reversed(self._downloads.items())]:
                size += download.size()
                if size > _FILES * self._max_file_bytes:
                    del self._downloads[key]
