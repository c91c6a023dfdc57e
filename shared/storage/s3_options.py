"""Connection options of an S3 bucket, apart from s3.py so that using them does not import boto3."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Timeouts:
    """Timeouts of a call to a remote store: at most about attempts * (connect + read) seconds, plus backoff."""

    connect: float  # seconds; also between two writes of an upload
    read: float  # seconds between two reads of a response
    attempts: int


SHORT_TIMEOUTS: Final = Timeouts(connect=0.8, read=1.8, attempts=1)
"""For requests that a client waits for: a call fails within 3 seconds."""

LONG_TIMEOUTS: Final = Timeouts(connect=3.0, read=20.0, attempts=5)
"""For workers: waiting costs less than losing a job."""


@dataclass(frozen=True)
class S3Options:
    """Options that are not part of an `s3://` URL."""

    endpoint: str | None = None  # None: AWS
    region: str = "us-east-1"
    access_key: str | None = None  # None: boto3's default chain (environment, profile, instance role)
    secret_key: str | None = None
    path_style: bool = True  # bucket in the path, not in the host name: most servers other than AWS need it
    timeouts: Timeouts = SHORT_TIMEOUTS

    def __post_init__(self) -> None:
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"the S3 endpoint {self.endpoint!r} must start with http:// or https://")
