"""The two blob stores of a run: a directory, and a real S3 server behind a proxy that injects faults."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

import boto3

from chaos.stack.proxies import S3Proxy
from shared.storage import LONG_TIMEOUTS, BlobStore, LocalBlobStore, S3Options, open_blob_store

ROOT: Final = Path(__file__).parents[3]
SECRET: Final = "loopback-secret"  # noqa: S105 - of a server that exists only during the run
ACCESS: Final = "test:easel"
_BUCKET: Final = "easel-chaos"


class ChaosStore(ABC):
    """The blob store of one stack."""

    kind: str
    environment: Mapping[str, str]
    """EASEL_ variables for the stack's processes."""
    blobs: BlobStore
    """The same blobs, accessed without the proxy."""

    @abstractmethod
    def refuse(self, *, refusing: bool) -> None:
        """Start or stop to refuse every write."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server."""


class DirectoryStore(ChaosStore):
    """A directory."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "blobs" / ".incoming"
        self.blobs = LocalBlobStore(folder / "blobs")
        self.blobs.check()
        self.environment = {"EASEL_STORE_URL": (folder / "blobs").as_uri()}

    def refuse(self, *, refusing: bool) -> None:
        """Replace the folder for unfinished blobs with a file."""
        aside = self._incoming.with_name(".aside")
        if refusing:
            self._incoming.rename(aside)
            self._incoming.touch()
        else:
            self._incoming.unlink()
            aside.rename(self._incoming)

    def close(self) -> None:
        """Do nothing: there is no server."""


class S3Store(ChaosStore):
    """OpenStack Swift's S3 API; the stack uses it through `proxy`."""

    kind = "s3"

    def __init__(self, folder: Path) -> None:
        python = ROOT / ".venv-s3/bin/python"
        if not python.exists():
            raise RuntimeError("No S3 server is installed; run `make .venv-s3/ready`, or use STORE=local.")
        command: list[str | Path] = [
            python,
            "-W",
            "ignore",
            ROOT / "tests/support/s3_server.py",
            folder / "s3",
            SECRET,
        ]
        with (folder / "s3.log").open("w") as log:
            self._server = Popen(command, stdout=PIPE, stderr=log)
        word, _, port = _first_line(self._server).partition(" ")
        if word != "ready":
            raise RuntimeError(f"The S3 server did not start; see {folder / 's3.log'}.")
        self.proxy = S3Proxy(("127.0.0.1", int(port)))
        os.environ |= {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET}
        endpoint = f"http://127.0.0.1:{int(port)}"
        make_bucket(endpoint, _BUCKET)
        direct = S3Options(endpoint, access_key=ACCESS, secret_key=SECRET, timeouts=LONG_TIMEOUTS)
        self.blobs = open_blob_store(f"s3://{_BUCKET}", direct)
        self.environment = {
            "EASEL_STORE_URL": f"s3://{_BUCKET}",
            "EASEL_S3_ENDPOINT": f"http://127.0.0.1:{self.proxy.port}",
        }

    def refuse(self, *, refusing: bool) -> None:
        """Reset all connections, too."""
        self.proxy.set("down" if refusing else "open")

    def close(self) -> None:
        """Stop the proxy and the server."""
        self.proxy.close()
        self._server.kill()
        self._server.wait()
        if self._server.stdout:
            self._server.stdout.close()


def open_store(kind: str, folder: Path) -> ChaosStore:
    """Open the store `local` or `s3` with its data under `folder`. Raises RuntimeError without an S3 server."""
    return {"local": DirectoryStore, "s3": S3Store}[kind](folder)


def _first_line(server: "Popen[bytes]") -> str:
    return server.stdout.readline().decode() if server.stdout else ""


def make_bucket(endpoint: str, bucket: str) -> None:
    """Create a bucket."""
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=ACCESS,
        aws_secret_access_key=SECRET,
    )
    client.create_bucket(Bucket=bucket)
    client.close()
