"""Who may use the service: holders of one of EASEL_API_KEYS, or of a tenant's key in the blob store."""

import hmac
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from pydantic import SecretStr

from api.live.ttl_cache import TtlCache, TtlCaches
from shared.errors import InsufficientScope, Unauthorized
from shared.jobs.job import DEFAULT_TENANT
from shared.services import Services, ensure_paired, stored_identity
from shared.tenants.keys import SCOPES, Scope, StoredKey, any_key_exists, has_scope, parse_key, read_key

_FRESH_SECONDS: Final = 2.0
_STALE_SECONDS: Final = 1.0
"""Open streams check their key every second, so a revocation counts within five seconds everywhere."""
_CACHED_KEYS: Final = 1024


@dataclass(frozen=True)
class Caller:
    """Who sends a request. One for each key, with all its sessions, or else for each address."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: tuple[Scope, ...] = SCOPES
    key_prefix: str | None = None  # of a stored key
    secret: SecretStr | None = None  # signs session cookies: the key itself, or the digest of a stored one

    def require(self, scope: Scope) -> None:
        """Raise InsufficientScope unless the caller's key has the scope."""
        if not has_scope(self.scopes, scope):
            raise InsufficientScope(
                f"This API key does not have the scope {scope}, only {', '.join(self.scopes)}. Use another key.",
                scope=scope,
            )

    def signing_key(self, salt: bytes, purpose: Literal["session", "share link"]) -> bytes:
        """Return 32 bytes that sign something in the caller's name: HKDF (RFC 5869) with SHA-256, one block long.

        The input is the secret of the API key, so what is signed ends with that key. `salt` is `SigningSecret.get()`, a
        secret in Redis: of a tenant's key only the hash is stored, and someone who reads the blob store cannot sign
        with it. Without API keys, the salt is the only secret.
        """
        secret = self.secret.get_secret_value().encode() if self.secret else b""
        extracted = hmac.digest(salt, secret, "sha256")
        return hmac.digest(extracted, f"easel {purpose}".encode() + b"\x01", "sha256")


class Callers:
    """Finds callers by their keys. Stored keys are cached for three seconds at most."""

    def __init__(self, api_keys: Iterable[SecretStr], services: Services) -> None:
        self._services = services
        self.of_settings = [
            Caller(f"EASEL_API_KEYS {number}", secret=key) for number, key in enumerate(api_keys, start=1)
        ]
        self._stored = TtlCaches(
            self._read_key, size=_CACHED_KEYS, fresh_seconds=_FRESH_SECONDS, stale_seconds=_STALE_SECONDS
        )
        # While the store is away, the first key cannot be created.
        self._any_stored = TtlCache(
            self._any_key_exists,
            fresh_seconds=_FRESH_SECONDS,
            stale_seconds=_STALE_SECONDS,
            keep_on_error=True,
        )

    def any_stored(self, *, wait: bool) -> bool:
        """Return whether there is a stored key, as of a few seconds ago. Raises StorageUnavailable.

        Without waiting, the last known answer, and at first False.
        """
        return self._any_stored.get() if wait else bool(self._any_stored.last())

    def find(self, text: str) -> Caller:
        """Return the holder of this key. Raises Unauthorized, StorageUnavailable.

        Compares with all keys of the settings, each in constant time, so timing leaks nothing.
        """
        matches = [caller for caller in self.of_settings if caller.secret and _equals(text, caller.secret)]
        if matches:
            return matches[0]
        parts = parse_key(text)
        key = self._stored.get(parts.prefix) if parts else None
        if key is None or parts is None or not key.has_secret(parts.secret):
            raise Unauthorized("This is not one of the service's API keys. Ask its operator for one.")
        return _holder(key)

    def find_by_prefix(self, prefix: str) -> Caller:
        """Return the holder of the stored key with this prefix. Raises Unauthorized, StorageUnavailable."""
        key = self._stored.get(prefix)
        if key is None:
            raise Unauthorized("The API key of this session does not exist. Sign in again.")
        return _holder(key)

    def possible_signers(self, key_prefix: str | None) -> list[Caller]:
        """Return the holder of the stored key with this prefix, if it is valid; for None, all of EASEL_API_KEYS.

        Raises StorageUnavailable.
        """
        if key_prefix is None:
            return self.of_settings
        with suppress(Unauthorized):
            return [self.find_by_prefix(key_prefix)]
        return []

    def check(self, caller: Caller) -> None:
        """Raise Unauthorized if the caller's key was revoked or expired meanwhile; StorageUnavailable."""
        if caller.key_prefix is not None:
            self.find_by_prefix(caller.key_prefix)

    def _read_key(self, prefix: str) -> StoredKey | None:
        key = read_key(self._services.blobs, prefix)
        if key is None:
            self._check_that_store_is_mounted()
        return key

    def _any_key_exists(self) -> bool:
        exists = any_key_exists(self._services.blobs)
        if not exists:
            self._check_that_store_is_mounted()
        return exists

    def _check_that_store_is_mounted(self) -> None:
        """Raise StorageUnavailable if the store is empty because its disk is not mounted: it may have a key."""
        if stored_identity(self._services.blobs) is None:
            ensure_paired(self._services)


def _holder(key: StoredKey) -> Caller:
    if (state := key.state()) != "active":
        raise Unauthorized(f"This API key is {state}. Ask the service's operator for another one.")
    return Caller(f"key {key.prefix}", key.tenant, key.scopes, key.prefix, SecretStr(key.digest))


def _equals(text: str, key: SecretStr) -> bool:
    return hmac.compare_digest(text.encode(errors="surrogatepass"), key.get_secret_value().encode())
