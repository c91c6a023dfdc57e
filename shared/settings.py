"""Frozen settings, read once at the edge from the environment (prefix EASEL_) and passed in from there."""

from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """All that an operator can turn. Times are in seconds, sizes in bytes unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="EASEL_", frozen=True, extra="ignore")

    # Where the parts are.
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="redis://, rediss:// or unix://; AOF, noeviction.")
    store_url: str = Field("file:var/blobs", description="file:///path, file:path or s3://bucket/prefix")
    s3_endpoint: str | None = Field(None, description="Another S3 server than Amazon's; keys come from AWS_*.")
    s3_region: str = "us-east-1"
    s3_path_style: bool = Field(True, description="Bucket in the path; False puts it in the host name.")  # noqa: FBT003 - pydantic's own signature

    # The API.
    host: str = Field("127.0.0.1", description="Anything but loopback needs EASEL_API_KEYS.")
    port: int = Field(8080, ge=0, le=65535)
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field((), description="Bearer keys, separated by commas.")
    api_threads: int = Field(256, ge=1, description="Requests and watchers at once in one API process.")
    streams_per_client: int = Field(
        32, ge=1, description="Streams and long polls at once of one key, sessions included, or of one address."
    )
    stall_seconds: float = Field(20, gt=0, description="A client that sends or takes nothing for so long is cut off.")
    max_body_bytes: int = Field(64 * 2**20, gt=0)
    max_pixels: int = Field(64_000_000, gt=0, description="Of one image, judged by its header.")
    max_styles: int = Field(8, ge=1)
    queue_limit: int = Field(1000, ge=1, description="Jobs that may wait; more are answered 429.")
    idempotency_seconds: int = 24 * 3600

    # The queue.
    tiers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("standard", "batch"), description="Waiting lines, the first served before the next; jobs go to the first."
    )
    lease_seconds: float = Field(60, gt=0, description="A claim not renewed for so long is taken back.")
    heartbeat_seconds: float = Field(1, gt=0)
    reaper_seconds: float = Field(15, gt=0)
    hang_seconds: float = Field(
        900,
        gt=0,
        description="A device that does nothing for so long, and for ten steps, has hung. The first step of a stage "
        "may hold a download, a calibration and the trace of a large size.",
    )
    deaf_seconds: float = Field(60, gt=0, description="An idle worker that lets bells hang for so long is replaced.")
    slice_seconds: float = Field(300, gt=0, description="After so long a job steps back if others wait in its tier.")
    attempts_limit: int = Field(3, ge=1, description="Leases lost without a new checkpoint before a job fails.")

    retention_days: float = Field(30, ge=0, description="Jobs that ended longer ago are deleted; 0 keeps all.")

    # Webhooks.
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="whsec_ and 24 to 64 bytes in base64; several, separated by commas, all sign. None: no webhooks.",
    )
    webhook_private: bool = Field(False, description="Whether to call private addresses, too.")  # noqa: FBT003 - pydantic's own signature
    webhook_seconds: float = Field(10, gt=0, description="For which a receiver is listened to.")
    webhook_pace: float = Field(1, gt=0, description="Multiplies the pauses between tries.")

    # The worker.
    weights: str = Field("auto", description="A path to a VGG19 no-top .h5, imagenet, calibrated or auto.")
    cache: Path = Field(Path("var/cache"), description="Where calibrated weights are kept.")
    checkpoint_seconds: float = Field(10, gt=0, description="Between checkpoints; more where writing them is slow.")
    preview_seconds: float = Field(2, gt=0)
    threads: int = Field(0, ge=0, description="Of one worker's TensorFlow; 0 means all cores.")
    memory_bytes: int = Field(
        0, ge=0, description="A worker takes no job that needs more; 0: its GPU's, else the machine's."
    )
    memory_share: float = Field(
        1,
        gt=0,
        le=1,
        description="Of that GPU's or machine's memory, for each of several workers; without effect on memory_bytes.",
    )

    # The operator's window.
    log_format: str = Field("text", pattern="^(text|json)$")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")

    @field_validator("api_keys", "tiers", "webhook_secret", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("webhook_secret")
    @classmethod
    def _standard_secrets(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in secrets:
            prefix, _, text = secret.get_secret_value().partition("_")
            try:
                size = len(b64decode(text, validate=True))
            except ValueError:
                size = 0
            if prefix != "whsec" or not 24 <= size <= 64:  # noqa: PLR2004 - Standard Webhooks' own bounds
                raise ValueError('EASEL_WEBHOOK_SECRET is "whsec_" and 24 to 64 random bytes in base64.')
        return secrets
