"""How an S3 bucket is reached. Apart from s3.py, so that naming the options does not import boto3."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Patience:
    """How long one call to a remote store may take: about attempts * (connect + read) seconds, and the backoff."""

    connect: float  # seconds; also of silence while a blob is sent
    read: float  # seconds of silence while an answer is awaited
    attempts: int


HASTY: Final = Patience(connect=0.8, read=1.8, attempts=1)
"""For whoever has somebody waiting: the call fails within 3 seconds."""

PATIENT: Final = Patience(connect=3.0, read=20.0, attempts=5)
"""For workers, who would rather wait than lose a job."""


@dataclass(frozen=True)
class S3Options:
    """What a `s3://` address does not say."""

    endpoint: str | None = None  # None: Amazon's own
    region: str = "us-east-1"
    access_key: str | None = None  # None: boto3's own search (environment, profile, instance role)
    secret_key: str | None = None
    path_style: bool = True  # bucket in the path, not in the host name: what other servers want
    patience: Patience = HASTY

    def __post_init__(self) -> None:
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(f"the S3 endpoint {self.endpoint!r} must start with http:// or https://")
