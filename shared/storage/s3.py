"""A blob store in an S3 bucket, on AWS or any compatible server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.handlers import add_expect_header

from shared.errors import BlobMissing, StorageUnavailable
from shared.storage.blob_store import Blob, checked_key, checked_prefix, is_key
from shared.storage.s3_options import S3Options

if TYPE_CHECKING:  # stubs for the type checker only, not installed in production
    from mypy_boto3_s3 import S3Client


class S3BlobStore:
    """Keeps blobs in an existing bucket under `prefix`.

    Each process creates its own client at the first call, because sockets must not be shared across a fork.
    """

    def __init__(self, bucket: str, *, prefix: str = "", options: S3Options, page_size: int = 1000) -> None:
        self._bucket = bucket
        self._prefix = f"{checked_prefix(prefix)}/" if prefix else ""
        self._options = options
        self._page_size = page_size  # keys per listing request
        self._client_of_process: tuple[int, S3Client] | None = None  # process ID, client

    def put(self, key: str, *parts: bytes | memoryview, content_type: str = "application/octet-stream") -> None:
        """See BlobStore."""
        with self._translate_errors(key):
            data = b"".join(parts)
            self._client().put_object(Bucket=self._bucket, Key=self._full_key(key), Body=data, ContentType=content_type)

    def get(self, key: str) -> bytes:
        """See BlobStore."""
        with self._translate_errors(key):
            return self._client().get_object(Bucket=self._bucket, Key=self._full_key(key))["Body"].read()

    def exists(self, key: str) -> bool:
        """See BlobStore. Checks the bucket if the blob is missing: S3 responds 404 for both."""
        try:
            with self._translate_errors(key):
                self._client().head_object(Bucket=self._bucket, Key=self._full_key(key))
        except BlobMissing:
            self.check()
            return False
        return True

    def delete(self, key: str) -> None:
        """See BlobStore. S3 accepts deletion of a missing key."""
        with self._translate_errors(key):
            self._client().delete_object(Bucket=self._bucket, Key=self._full_key(key))

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """See BlobStore. Requests the listing page by page."""
        return self._pages(self._prefix + checked_prefix(prefix))

    def check(self) -> None:
        """See BlobStore."""
        try:
            with self._translate_errors(""):
                self._client().head_bucket(Bucket=self._bucket)
        except BlobMissing as error:
            raise StorageUnavailable(f"The bucket {self._bucket} does not exist; create it.") from error

    def _pages(self, full_prefix: str) -> Iterator[Blob]:
        with self._translate_errors(full_prefix):
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(
                Bucket=self._bucket, Prefix=full_prefix, PaginationConfig={"PageSize": self._page_size}
            ):
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self._prefix)
                    if is_key(key):
                        yield Blob(key, item["Size"], item["LastModified"].timestamp())

    def _full_key(self, key: str) -> str:
        return self._prefix + checked_key(key)

    def _client(self) -> "S3Client":
        """Racing threads may each create a client, of which one is kept: a lock would not survive a fork."""
        current = self._client_of_process
        if current is None or current[0] != os.getpid():
            current = self._client_of_process = os.getpid(), _create_client(self._options)
        return current[1]

    @contextmanager
    def _translate_errors(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _code(error) in {"NoSuchKey", "404"}:
                raise BlobMissing(f"There is no blob {key}.") from error
            raise StorageUnavailable(f"The blob store rejected a request for bucket {self._bucket}: {error}") from error
        except BotoCoreError as error:
            raise StorageUnavailable(f"The blob store is not reachable: {error}") from error


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _create_client(options: S3Options) -> "S3Client":
    timeouts = options.timeouts
    client = boto3.session.Session().client(  # not the default session, which threads must not share
        "s3",
        endpoint_url=options.endpoint,
        region_name=options.region,
        aws_access_key_id=options.access_key,
        aws_secret_access_key=options.secret_key,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path" if options.path_style else "auto"},
            # Servers other than AWS often reject the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=timeouts.connect,
            read_timeout=timeouts.read,
            retries={"mode": "standard", "total_max_attempts": timeouts.attempts},
            max_pool_connections=32,
            tcp_keepalive=True,
        ),
    )
    # Without this, each upload would wait a second for "100 Continue" from servers that do not send it.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    return client
