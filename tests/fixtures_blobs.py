"""Blob stores: one of each kind, and what lies in them."""

from pathlib import Path

import pytest
from fixtures_s3 import S3Server

from shared.blobs import PATIENT, Blobs, LocalBlobs, MemoryBlobs
from shared.blobs.s3 import S3Blobs


@pytest.fixture(params=["memory", "local", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "memory":
        return MemoryBlobs()
    if request.param == "local":
        return LocalBlobs(tmp_path / "blobs")
    server: S3Server = request.getfixturevalue("s3_server")
    return S3Blobs(server.bucket, prefix=f"tests/{tmp_path.name}", options=server.options(PATIENT), page=3)


def keys(blobs: Blobs, prefix: str = "") -> list[str]:
    return [blob.key for blob in blobs.list(prefix)]
