"""A real S3 server of the tests' own, on a free port, gone with the session."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import boto3
import pytest
from missing import ROOT, part_missing

from shared.blobs import HASTY, Patience, S3Options

SECRET = "loopback-secret"  # noqa: S105 - of a server that lives as long as the tests


@dataclass(frozen=True)
class S3Server:
    """A real S3 server on loopback with one empty bucket to begin with."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def options(self, patience: Patience = HASTY) -> S3Options:
        return S3Options(self.endpoint, self.region, self.access_key, self.secret_key, patience=patience)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    python = ROOT / ".venv-s3/bin/python"
    if not (ROOT / ".venv-s3/ready").exists():
        part_missing("no S3 server is installed: run `make .venv-s3/ready`")
    home = tmp_path_factory.mktemp("s3")
    command = [python, "-W", "ignore", ROOT / "tests/s3_server.py", home / "data", SECRET]
    with (home / "log").open("w") as log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log) as server:
        try:
            word, _, port = server.stdout.readline().decode().partition(" ")
            assert word == "ready", (home / "log").read_text()
            yield _with_bucket(f"http://127.0.0.1:{int(port)}")
        finally:
            server.kill()


def _with_bucket(endpoint: str) -> S3Server:
    server = S3Server(endpoint, bucket="easel-test", access_key="test:easel", secret_key=SECRET)
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=server.region,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    client.create_bucket(Bucket=server.bucket)
    client.close()
    return server
