"""Certificates for TLS servers of tests."""

import subprocess
from pathlib import Path

from support.requirements import part_missing


def self_signed_certificate(folder: Path, name: str) -> Path:
    """Write cert.pem and its key.pem for a host name into the folder; return the first one."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    try:
        subprocess.run(
            [*command, "-keyout", folder / "key.pem", "-out", folder / "cert.pem"], check=True, capture_output=True
        )
    except FileNotFoundError:
        part_missing("there is no openssl")
    return folder / "cert.pem"
