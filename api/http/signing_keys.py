"""Derives the keys that sign session cookies and share links: HKDF (RFC 5869) with SHA-256, one block long.

The input is the secret of the API key in whose name something is signed, so it ends with that key. The salt is a secret
in Redis: of a tenant's key only the hash is stored, and someone who reads the blob store cannot sign with it. The
purpose keeps the keys apart.
"""

import hmac
from typing import Literal

from api.http.callers import Caller

Purpose = Literal["session", "share link"]


def signing_key(caller: Caller, salt: bytes, purpose: Purpose) -> bytes:
    """Return 32 bytes. `salt` is `SigningSecret.get()`. Without API keys, the salt is the only secret."""
    secret = caller.secret.get_secret_value().encode() if caller.secret else b""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, f"easel {purpose}".encode() + b"\x01", "sha256")
