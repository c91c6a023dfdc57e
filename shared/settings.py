"""Frozen settings, read once from the environment (prefix EASEL_) at each entry point and passed on."""

import re
from base64 import b64decode
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ModelWrapValidatorHandler, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.validation_messages import message_for

MAX_REQUESTS_PER_SECOND: Final = 1_000_000

_URL: Final = re.compile(r"https?://[^\s?#\\]+", re.ASCII)


class InvalidSettings(RuntimeError):
    """A setting has an invalid value; the message names its variable."""


class Settings(BaseSettings):
    """All settings. Times are in seconds and sizes in bytes unless the name says otherwise.

    Raises InvalidSettings.
    """

    model_config = SettingsConfigDict(env_prefix="EASEL_", frozen=True, extra="ignore", allow_inf_nan=False)

    # Services that Easel connects to.
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="Redis or Valkey: redis://, rediss:// or unix://. It needs `appendonly yes` and `noeviction`.",
    )
    store_url: str = Field(
        "file:var/blobs", description="Blob store: file:///folder, file:relative/folder or s3://bucket/prefix."
    )
    s3_endpoint: str | None = Field(
        None, description="URL of an S3 server other than AWS. Credentials come from AWS_* variables, as in boto3."
    )
    s3_region: str = Field("us-east-1", description="Region of the S3 bucket.")
    s3_path_style: bool = Field(
        True,  # noqa: FBT003 - pydantic's own signature
        description="Whether the bucket is in the URL's path, as most S3 servers need, instead of in the host name.",
    )

    # The API.
    host: str = Field("127.0.0.1", description="Address to listen on. Any but loopback requires a key.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    public_url: str | None = Field(
        None,
        description="Where clients reach the API, such as https://easel.example or https://example.com/easel: http:// "
        "or https://, without a query. Webhooks and share links then have whole URLs instead of paths.",
    )
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Bearer keys of the tenant `default`, with all scopes, separated by commas. Without these and "
        "without keys of `easel-worker keys`, only local requests are accepted.",
    )
    api_threads: int = Field(256, ge=1, description="Concurrent requests and streams of one API process.")
    streams_per_client: int = Field(
        32, ge=1, description="Concurrent streams and long polls per API key (with its sessions), or per address."
    )
    stall_seconds: float = Field(
        20, gt=0, description="Seconds after which a client that neither sends nor receives is disconnected."
    )
    max_body_bytes: int = Field(64 * 2**20, gt=0, description="Largest request body, in bytes.")
    max_pixels: int = Field(64_000_000, gt=0, description="Largest image, in pixels (width x height).")
    decode_processes: int = Field(
        2,
        ge=2,
        description="Processes that decode uploads and convert results. One client's images use all but one of them at "
        "a time.",
    )
    decode_seconds: float = Field(20, gt=0, description="Seconds that decoding or converting one image may take.")
    decode_bytes: int = Field(
        2 * 2**30, gt=0, description="Memory that decoding or converting one image may take, in bytes."
    )
    styles_dir: Path | None = Field(
        None,
        description="Folder of style images that the studio offers to everyone with access; subfolders are ignored.",
    )
    max_styles: int = Field(8, ge=1, description="Maximum number of style images per job.")
    queue_limit: int = Field(
        1000, ge=1, description="Maximum number of queued jobs; further submissions get 429 `queue_full`."
    )
    tenant_requests_per_second: float = Field(
        0,
        ge=0,
        le=MAX_REQUESTS_PER_SECOND,
        description="Requests per second of each tenant, as an average of ten seconds; 0: no limit. This and the next "
        "settings are defaults: `easel-worker tenants set` changes them for a tenant.",
    )
    tenant_queued_jobs: int = Field(0, ge=0, description="Queued jobs of each tenant; 0: no limit.")
    tenant_running_jobs: int = Field(
        0, ge=0, description="Running jobs of each tenant, read by the workers; 0: no limit. Others wait in the queue."
    )
    tenant_pixel_evaluations_per_day: int = Field(
        0,
        ge=0,
        description="Pixels times evaluations of the jobs that each tenant submits in a day (UTC); 0: no limit.",
    )
    tenant_stored_bytes: int = Field(
        0,
        ge=0,
        description="Bytes that each tenant's images and jobs may take in the blob store; 0: no limit. Beyond it, "
        "uploads and submissions are refused. Set it for the reaper, too, which measures them.",
    )
    image_seconds: float = Field(
        24 * 3600,
        gt=0,
        description="Seconds after its last use for which an image of `POST /v1/images` can be referred to.",
    )
    idempotency_seconds: int = Field(24 * 3600, description="Seconds for which an Idempotency-Key is remembered.")

    # Images from URLs.
    fetch_seconds: float = Field(
        30, gt=0, description="Seconds that fetching one image from a URL may take, with redirects."
    )
    fetch_private: bool = Field(
        False,  # noqa: FBT003 - pydantic's own signature
        description="Whether images may be fetched from private addresses, and by http.",
    )

    # The queue.
    tiers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("interactive", "standard", "batch"),
        min_length=1,
        description="Tiers, separated by commas, in the order in which workers serve them. A job without a tier goes "
        "to `standard`, or to the first tier if there is no `standard`.",
    )
    lease_seconds: float = Field(
        60, gt=0, description="Seconds after which a claim that was not renewed expires and its job is requeued."
    )
    heartbeat_seconds: float = Field(1, gt=0, description="Seconds between lease renewals and progress events.")
    reaper_seconds: float = Field(15, gt=0, description="Seconds between rounds of the reaper.")
    hang_seconds: float = Field(
        900,
        gt=0,
        description="Seconds without progress after which a device counts as hung and its process is replaced; at "
        "least ten times the last step. The first step of a stage may include a download, a calibration and tracing.",
    )
    stalled_consumer_seconds: float = Field(
        60, gt=0, description="Seconds for which an idle worker may leave wake-ups pending before it is replaced."
    )
    slice_seconds: float = Field(
        300, gt=0, description="Seconds after which a job goes back to its queue if other jobs of its tier wait."
    )
    attempts_limit: int = Field(
        3, ge=1, description="Leases that a job may lose without a new checkpoint before it fails."
    )
    retention_days: float = Field(30, ge=0, description="Days after which ended jobs are deleted; 0 keeps them.")

    # Webhooks.
    webhook_secret: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Secrets of webhooks, separated by commas: `whsec_` and 24 to 64 bytes in base64. From each, a "
        "secret for each tenant is derived, which signs every request of that tenant. Empty disables webhooks.",
    )
    webhook_private: bool = Field(False, description="Whether webhooks may call private addresses.")  # noqa: FBT003 - pydantic's own signature
    webhook_seconds: float = Field(10, gt=0, description="Seconds that one delivery attempt may take.")
    webhook_backoff_factor: float = Field(1, gt=0, description="Multiplies the delays between delivery attempts.")

    # The worker.
    weights: str = Field(
        "auto", description="VGG19 weights: the path of a no-top .h5 file, `imagenet`, `calibrated` or `auto`."
    )
    cache: Path = Field(Path("var/cache"), description="Folder for downloaded and calibrated weights.")
    checkpoint_seconds: float = Field(
        10, gt=0, description="Seconds between checkpoints; more if writing them is slow."
    )
    preview_seconds: float = Field(2, gt=0, description="Seconds between previews.")
    threads: int = Field(0, ge=0, description="TensorFlow threads of one worker; 0 means all cores.")
    memory_bytes: int = Field(
        0,
        ge=0,
        description="Memory that a job may need on this worker, in bytes; 0: that of its GPU, or of the machine.",
    )
    memory_share: float = Field(
        1,
        gt=0,
        le=1,
        description="Share of the GPU's or machine's memory for each of several workers. "
        "Ignored if EASEL_MEMORY_BYTES is set.",
    )
    liveness_file: Path | None = Field(
        None, description="File that a worker or a reaper touches every few seconds, for liveness probes."
    )

    # Metrics.
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port at which a worker or a reaper serves metrics; 0 serves none. Each process on a machine needs "
        "its own; the n-th worker of `--gpus` takes the n-th from this one on. The API serves them at its own port.",
    )
    metrics_host: str = Field(
        "127.0.0.1",
        description="Address to serve a worker's or a reaper's metrics at. They need no key: choose one that only "
        "Prometheus can reach.",
    )

    # Logs.
    log_format: Literal["text", "json"] = Field(
        "text", description="Format of log lines. With `json`, all output is JSON."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Lowest level to log.")

    @property
    def default_tier(self) -> str:
        """The tier of a job that is submitted without one."""
        return "standard" if "standard" in self.tiers else self.tiers[0]

    def absolute_url(self, path: str) -> str:
        """Return the URL of this path as clients see it; without EASEL_PUBLIC_URL, the path."""
        return (self.public_url or "") + path

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(values)
        except ValidationError as error:
            problems = [
                f"EASEL_{''.join(map(str, e['loc'][:1]))} ".upper() + message_for(e, kind="setting")
                for e in error.errors()
            ]
            raise InvalidSettings("; ".join(problems) + ".") from None  # pydantic's error shows the values of secrets

    @field_validator("api_keys", "tiers", "webhook_secret", mode="before")
    @classmethod
    def _comma_separated(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("public_url")
    @classmethod
    def _without_query(cls, value: str | None) -> str | None:
        if not value:
            return None
        try:
            url = urlsplit(value)
            valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0 and "@" not in url.netloc
        except ValueError:  # an invalid port or IPv6 address
            valid = False
        if not valid or not _URL.fullmatch(value):
            raise ValueError("must be http:// or https://, a host, and optionally a port and a path")
        return value.rstrip("/")

    @field_validator("tiers")
    @classmethod
    def _no_reserved_tier(cls, tiers: tuple[str, ...]) -> tuple[str, ...]:
        if "assets" in tiers:
            raise ValueError("must not contain assets, the queue of images that are fetched")
        return tiers

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
                raise ValueError('must be "whsec_" and 24 to 64 random bytes in base64')
        return secrets
