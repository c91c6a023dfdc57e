"""API keys of tenants: `easel_<prefix>_<secret>`, stored as hashes in the blob store, where they outlive Redis."""

import hashlib
import hmac
import re
import secrets
import string
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NamedTuple, get_args

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared.errors import BlobMissing, KeyNotFound
from shared.jobs.job import DEFAULT_TENANT
from shared.storage import BlobStore, keys

Scope = Literal["jobs", "read", "metrics", "admin"]
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
TenantName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]

_PREFIX_LENGTH: Final = 8
_SECRET_LENGTH: Final = 43  # of 62 characters: 256 bits
_PREFIX_CHARACTERS: Final = string.ascii_lowercase + string.digits  # some file systems ignore case
_SECRET_CHARACTERS: Final = string.ascii_letters + string.digits  # a double click selects the whole key
_PREFIX: Final = re.compile(rf"[a-z0-9]{{{_PREFIX_LENGTH}}}", re.ASCII)
_KEY: Final = re.compile(rf"easel_({_PREFIX.pattern})_([A-Za-z0-9]{{{_SECRET_LENGTH}}})", re.ASCII)


class NewKey(BaseModel):
    """What a new key is for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: TenantName = Field(default=DEFAULT_TENANT, description="Whose jobs the key can see and submit.")
    name: str = Field(default="", max_length=100, description="For people.")
    scopes: tuple[Scope, ...] = Field(
        default=("jobs",),
        min_length=1,
        description="`jobs`: submit, cancel, finish, delete and read. `read`: read only. `metrics`: `GET /metrics`. "
        "`admin`: keys of all tenants, and the audit log.",
    )
    expires_at: AwareDatetime | None = Field(default=None, description="Null if the key does not expire.")


class Key(NewKey):
    """A key, without its secret."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    prefix: str = Field(description="The public part of the key, after `easel_`.")
    created_at: AwareDatetime = Field(description="When it was created.")
    revoked_at: AwareDatetime | None = Field(default=None, description="When it was revoked, or null.")

    def state(self) -> Literal["active", "expired", "revoked"]:
        """Return whether the key can be used now."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and datetime.now(UTC) >= self.expires_at else "active"


class StoredKey(Key):
    """The blob of a key: `keys/<prefix>.json`."""

    digest: str
    """SHA-256 of the secret. A slow hash is for passwords that can be guessed; 2**256 secrets cannot be tried."""

    def has_secret(self, secret: str) -> bool:
        """Return whether this is the key's secret. Takes the same time for each wrong one."""
        return hmac.compare_digest(self.digest, _digest(secret))


class KeyText(NamedTuple):
    """The parts of a key as clients send it."""

    prefix: str
    secret: str


def has_scope(scopes: Collection[Scope], scope: Scope) -> bool:
    """Return whether `scope` is one of these scopes; `jobs` implies `read`."""
    return scope in scopes or (scope == "read" and "jobs" in scopes)


def parse_key(text: str) -> KeyText | None:
    """Return the parts of a key; None if this is no key of a tenant."""
    match = _KEY.fullmatch(text)
    return KeyText(*match.groups()) if match else None


def create_key(blobs: BlobStore, new: NewKey) -> tuple[StoredKey, str]:
    """Store a new key; return it, and its text, which cannot be had again. Raises StorageUnavailable."""
    prefix, secret = _random(_PREFIX_CHARACTERS, _PREFIX_LENGTH), _random(_SECRET_CHARACTERS, _SECRET_LENGTH)
    fields = {**new.model_dump(), "prefix": prefix, "created_at": datetime.now(UTC), "digest": _digest(secret)}
    key = StoredKey.model_validate(fields)
    _store(blobs, key)
    return key, f"easel_{prefix}_{secret}"


def read_key(blobs: BlobStore, prefix: str) -> StoredKey | None:
    """Return the key with this prefix, which need not be one; None if there is none. Raises StorageUnavailable."""
    if not _PREFIX.fullmatch(prefix):
        return None
    try:
        return StoredKey.model_validate_json(blobs.get(keys.api_key(prefix)))
    except BlobMissing:
        return None


def list_keys(blobs: BlobStore) -> Iterator[StoredKey]:
    """Yield all keys, by prefix. Raises StorageUnavailable."""
    for blob in blobs.list(keys.API_KEYS_PREFIX):
        yield StoredKey.model_validate_json(blobs.get(blob.key))


def any_key_exists(blobs: BlobStore) -> bool:
    """Return whether there is a key, even if it was revoked. Raises StorageUnavailable."""
    return next(iter(blobs.list(keys.API_KEYS_PREFIX)), None) is not None


def revoke_key(blobs: BlobStore, prefix: str) -> StoredKey:
    """Revoke a key, if it is not revoked yet; return it. Raises KeyNotFound, StorageUnavailable."""
    key = read_key(blobs, prefix)
    if key is None:
        raise KeyNotFound(f"There is no key with the prefix {prefix}.")
    if key.revoked_at is None:
        key = key.model_copy(update={"revoked_at": datetime.now(UTC)})
        _store(blobs, key)
    return key


def _store(blobs: BlobStore, key: StoredKey) -> None:
    blobs.put(keys.api_key(key.prefix), key.model_dump_json().encode(), content_type="application/json")


def _random(characters: str, length: int) -> str:
    return "".join(secrets.choice(characters) for _ in range(length))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
