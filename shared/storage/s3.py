"""Blobs in an S3 bucket: Amazon's, or any server that speaks the protocol."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from shared.errors import BlobMissing, BlobsUnavailable
from shared.storage.blob_store import Blob, checked_key, checked_prefix, is_key
from shared.storage.s3_options import S3Options

if TYPE_CHECKING:  # exists for the type checker only, and is not installed beside the service
    from mypy_boto3_s3 import S3Client


class S3BlobStore:
    """One bucket, every key under `prefix`. The bucket must exist.

    The client is made at the first call of each process, because sockets must not be carried across a fork.
    """

    def __init__(self, bucket: str, *, prefix: str = "", options: S3Options, page: int = 1000) -> None:
        self._bucket = bucket
        self._above = f"{checked_prefix(prefix)}/" if prefix else ""
        self._options = options
        self._page = page  # keys a listing asks for at a time
        self._made: tuple[int, S3Client] | None = None

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        """As Blobs says."""
        with self._talking(key):
            whole = b"".join(parts)
            self._client().put_object(Bucket=self._bucket, Key=self._full(key), Body=whole, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """As Blobs says."""
        with self._talking(key):
            return self._client().get_object(Bucket=self._bucket, Key=self._full(key))["Body"].read()

    def exists(self, key: str) -> bool:
        """As Blobs says. Asks twice about a missing blob: a missing bucket answers the first question alike."""
        try:
            with self._talking(key):
                self._client().head_object(Bucket=self._bucket, Key=self._full(key))
        except BlobMissing:
            self.check()
            return False
        return True

    def delete(self, key: str) -> None:
        """As Blobs says: S3 has nothing against deleting what is not there."""
        with self._talking(key):
            self._client().delete_object(Bucket=self._bucket, Key=self._full(key))

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """As Blobs says, page by page."""
        return self._pages(self._above + checked_prefix(prefix))

    def check(self) -> None:
        """As Blobs says."""
        try:
            with self._talking(""):
                self._client().head_bucket(Bucket=self._bucket)
        except BlobMissing as error:
            raise BlobsUnavailable(f"There is no bucket {self._bucket}; create it.") from error

    def _pages(self, full: str) -> Iterator[Blob]:
        with self._talking(full):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=full, PaginationConfig={"PageSize": self._page}):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._above)
                    if is_key(key):
                        yield Blob(key, item["Size"], item["LastModified"].timestamp())

    def _full(self, key: str) -> str:
        return self._above + checked_key(key)

    def _client(self) -> "S3Client":
        """Threads that come first together make one each and all but the last go unused: no lock to be forked with."""
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = os.getpid(), _client(self._options)
        return made[1]

    @contextmanager
    def _talking(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _code(error) in {"NoSuchKey", "404"}:
                raise BlobMissing(f"There is no blob {key}.") from error
            raise BlobsUnavailable(f"The blob store refused bucket {self._bucket}: {error}") from error
        except BotoCoreError as error:
            raise BlobsUnavailable(f"The blob store cannot be reached: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _client(options: S3Options) -> "S3Client":
    patience = options.patience
    client = boto3.session.Session().client(  # a session of its own: the default one may not be shared by threads
        "s3",
        endpoint_url=options.endpoint,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if options.path_style else "auto"},
            # Other servers than Amazon's stumble over the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=patience.connect,
            read_timeout=patience.read,
            retries={"mode": "standard", "total_max_attempts": patience.attempts},
            max_pool_connections=32,
            tcp_keepalive=True,
        ),
    )
    # It would wait a second more for a silent server's "100 Continue" before each upload.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client
