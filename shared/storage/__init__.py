"""Where bytes are kept: one contract, and a directory, an S3 bucket and a dictionary that honour it."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from shared.storage.blob_store import Blob, BlobStore
from shared.storage.local import LocalBlobStore
from shared.storage.memory import MemoryBlobStore
from shared.storage.s3_options import HASTY, PATIENT, Patience, S3Options

__all__ = [
    "HASTY",
    "PATIENT",
    "Blob",
    "BlobStore",
    "LocalBlobStore",
    "MemoryBlobStore",
    "Patience",
    "S3Options",
    "open_blob_store",
]


def open_blob_store(url: str, s3: S3Options | None = None) -> BlobStore:
    """The store at `file:///folder`, `file:relative/folder`, `s3://bucket/prefix` or `memory:` (a new, empty one).

    Touches neither disk nor network. Raises ValueError for any other address.
    """
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
    raise ValueError(f"{url!r} names no blob store; use file:///folder, s3://bucket/prefix or memory:")
