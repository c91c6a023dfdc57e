"""The two blob stores that a run can stand on: a directory, and a real S3 server behind a wire that misbehaves."""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Final

import boto3

from chaos.wires import S3Wire
from shared.storage import PATIENT, BlobStore, LocalBlobStore, S3Options, open_blob_store

ROOT: Final = Path(__file__).parents[2]
_SECRET: Final = "loopback-secret"  # noqa: S105 - of a server that lives as long as the run
_ACCESS: Final = "test:easel"
_BUCKET: Final = "easel-chaos"


class Store(ABC):
    """Where the blobs of one world lie."""

    kind: str
    environment: Mapping[str, str]
    """What the stack's processes are told of it."""
    blobs: BlobStore
    """The same blobs, past whatever stands in the way."""

    @abstractmethod
    def refuse(self, *, refusing: bool) -> None:
        """Begin or cease to refuse every write."""

    @abstractmethod
    def close(self) -> None:
        """End what serves it."""


class Directory(Store):
    """A folder."""

    kind = "local"

    def __init__(self, folder: Path) -> None:
        self._incoming = folder / "blobs" / ".incoming"
        self.blobs = LocalBlobStore(folder / "blobs")
        self.blobs.check()
        self.environment = {"EASEL_STORE_URL": (folder / "blobs").as_uri()}

    def refuse(self, *, refusing: bool) -> None:
        """Put a file where the folder for unfinished blobs stood."""
        aside = self._incoming.with_name(".aside")
        if refusing:
            self._incoming.rename(aside)
            self._incoming.touch()
        else:
            self._incoming.unlink()
            aside.rename(self._incoming)

    def close(self) -> None:
        """Nothing serves it."""


class Bucket(Store):
    """OpenStack Swift's S3 interface; the stack reaches it through `wire`."""

    kind = "s3"

    def __init__(self, folder: Path) -> None:
        python = ROOT / ".venv-s3/bin/python"
        if not python.exists():
            raise RuntimeError("There is no S3 server here; run `make .venv-s3/ready`, or choose STORE=local.")
        command: list[str | Path] = [
            python,
            "-W",
            "ignore",
            ROOT / "tests/support/s3_server.py",
            folder / "s3",
            _SECRET,
        ]
        with (folder / "s3.log").open("w") as log:
            self._server = Popen(command, stdout=PIPE, stderr=log)
        word, _, port = _first_line(self._server).partition(" ")
        if word != "ready":
            raise RuntimeError(f"The S3 server did not start; see {folder / 's3.log'}.")
        self.wire = S3Wire(("127.0.0.1", int(port)))
        os.environ |= {"AWS_ACCESS_KEY_ID": _ACCESS, "AWS_SECRET_ACCESS_KEY": _SECRET}
        _make_bucket(f"http://127.0.0.1:{int(port)}")
        direct = S3Options(f"http://127.0.0.1:{int(port)}", access_key=_ACCESS, secret_key=_SECRET, patience=PATIENT)
        self.blobs = open_blob_store(f"s3://{_BUCKET}", direct)
        self.environment = {
            "EASEL_STORE_URL": f"s3://{_BUCKET}",
            "EASEL_S3_ENDPOINT": f"http://127.0.0.1:{self.wire.port}",
        }

    def refuse(self, *, refusing: bool) -> None:
        """Refuse connections, too."""
        self.wire.set("down" if refusing else "open")

    def close(self) -> None:
        """End the wire and the server."""
        self.wire.close()
        self._server.kill()
        self._server.wait()
        if self._server.stdout:
            self._server.stdout.close()


def open_store(kind: str, folder: Path) -> Store:
    """`local` or `s3`, its data under `folder`. Raises RuntimeError where there is no S3 server."""
    return {"local": Directory, "s3": Bucket}[kind](folder)


def _first_line(server: "Popen[bytes]") -> str:
    return server.stdout.readline().decode() if server.stdout else ""


def _make_bucket(endpoint: str) -> None:
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=_ACCESS,
        aws_secret_access_key=_SECRET,
    )
    client.create_bucket(Bucket=_BUCKET)
    client.close()
