"""Downloads each URL of a batch once for all of its jobs, which this process alone fetches (take_fetch.lua)."""

import math
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from shared.errors import EaselError, ImageFetchFailed
from worker.assets.image_download import ImageDownload, file_too_large

_ENTRY_BYTES: Final = 4096  # of memory, besides a file
_TRANSIENT_SECONDS: Final = 4.0  # less than the delay before the next attempt of a job
_FILES: Final = 2  # of the largest size


@dataclass(frozen=True)
class _Failure:
    """What to raise. A raised exception has references to the frames of its job, and so to the job's files."""

    kind: type[EaselError]
    expires_at: float  # time.monotonic
    detail: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)


_Download = Future[bytes | _Failure]


class BatchDownloads:
    """Safe to share between threads. Keeps the files that were used last, and errors."""

    def __init__(self, download: ImageDownload, max_file_bytes: int) -> None:
        self._download, self._max_file_bytes, self._lock = download, max_file_bytes, threading.Lock()
        self._downloads = dict[tuple[str, str], _Download]()  # the one that was used last at the end

    def get(self, batch: str, url: str, max_bytes: int) -> bytes:
        """Return the file; waits for a download in progress. Raises ImageFetchFailed.

        An error is that of all jobs of the batch, a `transient` one only for a few seconds: a server that is away gets
        about as many requests as from one job, and jobs that are fetched later do not fail because it was away.
        """
        with self._lock:
            download = self._downloads.pop((batch, url), None)
            begins = download is None or _is_expired(download)
            if download is None or begins:
                download = _Download()
            self._downloads[batch, url] = download
        if begins:
            self._run(download, url)
            self._evict()
        content = download.result()
        if isinstance(content, _Failure):
            raise content.kind(content.detail, **content.extra)
        if len(content) > max_bytes:
            raise file_too_large(httpx2.URL(url))
        return content

    def _run(self, download: _Download, url: str) -> None:
        try:
            download.set_result(self._download.get(url, self._max_file_bytes))
        except ImageFetchFailed as error:
            expires_at = time.monotonic() + (_TRANSIENT_SECONDS if error.extra.get("transient") else math.inf)
            download.set_result(_Failure(ImageFetchFailed, expires_at, error.detail, error.extra))
        except BaseException:  # for the others: an internal error
            download.set_result(_Failure(EaselError, time.monotonic() + _TRANSIENT_SECONDS))
            raise

    def _evict(self) -> None:
        with self._lock:
            size = 0
            for key, download in [*reversed(self._downloads.items())]:
                content = download.result() if download.done() else b""
                size += _ENTRY_BYTES + (len(content) if isinstance(content, bytes) else 0)
                if size > _FILES * self._max_file_bytes:
                    del self._downloads[key]


def _is_expired(download: _Download) -> bool:
    content = download.result() if download.done() else None
    return isinstance(content, _Failure) and time.monotonic() >= content.expires_at
