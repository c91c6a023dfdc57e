"""Opens a blob store by its URL."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.storage.blob_store import BlobStore
from shared.storage.local import LocalBlobStore
from shared.storage.measured import MeasuredBlobStore
from shared.storage.memory import MemoryBlobStore
from shared.storage.s3_options import S3Options


def open_blob_store(url: str, s3: S3Options | None = None) -> BlobStore:
    """Open `file:///folder`, `file:relative/folder`, `s3://bucket/prefix` or `memory:` (a new, empty store).

    Its calls are measured. Does not access disk or network. Raises ValueError for any other URL.
    """
    return MeasuredBlobStore(_open(url, s3))


def store_folder(url: str) -> Path | None:
    """Return the folder of a `file:` store, else None."""
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def _open(url: str, s3: S3Options | None) -> BlobStore:
    parts = urlsplit(url)
    path = unquote(parts.path)
    match parts.scheme:
        case "file" if path and parts.netloc in {"", "localhost"}:
            return LocalBlobStore(Path(path))
        case "memory" if not path and not parts.netloc:
            return MemoryBlobStore()
        case "s3" if parts.netloc:
            from shared.storage.s3 import S3BlobStore  # noqa: PLC0415 - boto3 takes 0.3 s to import, and few need it

            return S3BlobStore(parts.netloc, prefix=path.strip("/"), options=s3 or S3Options())
    raise ValueError(f"{url!r} is not a blob store URL; use file:///folder, s3://bucket/prefix or memory:")
