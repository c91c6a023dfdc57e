"""The blob store: its interface, implementations for a directory, an S3 bucket and memory, and the blob keys."""

from shared.storage.blob_store import Blob, BlobStore
from shared.storage.factory import open_blob_store, store_folder
from shared.storage.local import LocalBlobStore
from shared.storage.memory import MemoryBlobStore
from shared.storage.s3_options import LONG_TIMEOUTS, SHORT_TIMEOUTS, S3Options, Timeouts

__all__ = [
    "LONG_TIMEOUTS",
    "SHORT_TIMEOUTS",
    "Blob",
    "BlobStore",
    "LocalBlobStore",
    "MemoryBlobStore",
    "S3Options",
    "Timeouts",
    "open_blob_store",
    "store_folder",
]
