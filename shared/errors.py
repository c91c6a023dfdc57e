"""The error hierarchy. Each class sets the stable `code` and HTTP `status` that clients see, or inherits them.

`retryable` means that the same request may succeed later. `detail` is a sentence for people that names the fix. `extra`
becomes additional members of the problem+json body (RFC 9457, section 3.2).
"""

import math
from typing import Any, ClassVar, Self, TypedDict, Unpack


class _Traits(TypedDict, total=False):
    """Class attributes that subclasses set as keywords."""

    code: str
    status: int
    retryable: bool


class EaselError(Exception):
    """An unexpected error in the service; its log has the details."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    default_detail: ClassVar[str] = "Internal error; see the service's log."

    def __init_subclass__(cls, **traits: Unpack[_Traits]) -> None:
        super().__init_subclass__()
        for name, value in traits.items():
            setattr(cls, name, value)

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or self.default_detail
        self.extra = extra
        super().__init__(self.detail)


# Errors that the client can fix.


class BadInput(EaselError, code="bad_input", status=422):
    """The request is invalid."""


class MalformedRequest(BadInput, code="malformed_request", status=400):
    """The request cannot be parsed: broken JSON, a broken multipart body, a parameter of the wrong type."""


class MethodNotAllowed(BadInput, code="method_not_allowed", status=405):
    """This URL does not support the method."""


class UnsupportedMediaType(BadInput, code="unsupported_media_type", status=415):
    """The body has a content type that this URL does not accept."""


class InvalidCursor(BadInput, code="invalid_cursor", status=400):
    """The list cursor does not come from this service."""


class InvalidJobId(BadInput, code="invalid_job_id", status=404):
    """The job ID is not valid."""


class BodyTooLarge(BadInput, code="body_too_large", status=413):
    """The body is larger than EASEL_MAX_BODY_BYTES."""


class MissingImage(BadInput, code="missing_image"):
    """The form lacks a content or style image."""


class InvalidImageUrl(BadInput, code="invalid_image_url"):
    """The URL of an image is not https, or not one that the service may call."""


class QuoteOfUrls(BadInput, code="quote_of_urls"):
    """A quote needs the sizes of its images, and nothing is fetched for it: images must not be URLs."""

    default_detail = "A quote needs the sizes of the images, and nothing is fetched for it. Use POST /v1/images first."


class TooManyImages(BadInput, code="too_many_images"):
    """More than one content or start image, more than EASEL_MAX_STYLES style images, or too many files in a batch."""


class NotAnImage(BadInput, code="not_an_image"):
    """The file is not in an accepted image format."""


class BrokenImage(BadInput, code="broken_image"):
    """The image is truncated or corrupt."""


class InvalidMask(BadInput, code="invalid_mask"):
    """The masks do not match the styles, or one is black everywhere."""


class InvalidShape(BadInput, code="invalid_shape"):
    """A mask or a start image has another aspect ratio than the photo."""


class AnimatedImage(BadInput, code="animated_image"):
    """The image has more than one frame or page."""


class ImageTooLarge(BadInput, code="image_too_large"):
    """The image has more than EASEL_MAX_PIXELS pixels, or takes more than EASEL_DECODE_BYTES of memory to decode."""


class ImageTooSlow(BadInput, code="image_too_slow"):
    """Decoding an upload or converting a result takes longer than EASEL_DECODE_SECONDS; a JPEG has too many scans."""


class ImageTooSmall(BadInput, code="image_too_small"):
    """A side is too short for the five blocks of VGG19."""


class InvalidRecipe(BadInput, code="invalid_recipe"):
    """The recipe has an unknown field, a wrong value, or one that cannot have an effect; `errors` lists up to 20."""


class UnknownTier(BadInput, code="unknown_tier"):
    """The tier is not in EASEL_TIERS."""


class DoesNotFit(BadInput, code="does_not_fit"):
    """The job needs more memory than any worker of its tier has; `fitting_size` is the largest size that fits."""


class InvalidWebhook(BadInput, code="invalid_webhook"):
    """The webhook URL is not allowed or an event is unknown; `errors` names the form field."""


class InvalidMetadata(BadInput, code="invalid_metadata"):
    """The metadata is not a JSON object of strings, or exceeds its bounds; `errors` names each key."""


class WebhooksDisabled(BadInput, code="webhooks_disabled"):
    """EASEL_WEBHOOK_SECRET is not set, so receivers could not verify requests."""

    default_detail = "Webhooks are disabled; the operator enables them by setting EASEL_WEBHOOK_SECRET."


class IdempotencyKeyReused(BadInput, code="idempotency_key_reused"):
    """The Idempotency-Key was used with a different request."""

    default_detail = "This Idempotency-Key was used with a different request; use a new key for a new job."


class Unauthorized(EaselError, code="unauthorized", status=401):
    """The request has no API key, or one that is unknown, revoked or expired."""


class Forbidden(EaselError, code="forbidden", status=403):
    """There are no API keys, and the request is from another machine, a proxy or another site's page."""


class CsrfFailed(Forbidden, code="csrf_failed"):
    """The request has a session cookie but not its CSRF token, which only the service's own pages can read."""

    default_detail = "Send the session's token, from GET /v1/session, as X-CSRF-Token; in a browser, reload the page."


class InsufficientScope(Forbidden, code="insufficient_scope"):
    """The API key does not have the scope that the request needs, which `scope` names."""


class NotFound(EaselError, code="not_found", status=404):
    """The resource does not exist."""


class JobNotFound(NotFound, code="job_not_found"):
    """There is no job with this ID; it may have been deleted."""

    @classmethod
    def of(cls, job_id: str) -> Self:
        """Return the error for an unknown job, and for another tenant's, which must look the same."""
        return cls(f"There is no job {job_id}; it may have been deleted.")


class BatchNotFound(NotFound, code="batch_not_found"):
    """There is no batch with this ID, or all its jobs were deleted."""

    @classmethod
    def of(cls, batch_id: str) -> Self:
        """Return the error for an unknown batch, and for another tenant's, which must look the same."""
        return cls(f"There is no batch {batch_id}; it may have been deleted.")


class ImageNotFound(NotFound, code="image_not_found"):
    """There is no uploaded image with this ID; it expires EASEL_IMAGE_SECONDS after its last use."""


class KeyNotFound(NotFound, code="key_not_found"):
    """There is no API key with this prefix."""


class InvalidShareLink(NotFound, code="share_link_invalid"):
    """The share link was not made by this service, or its job was deleted, its key revoked or its secret rotated."""

    default_detail = "This link is not valid. Ask for a new one."


class ShareLinkExpired(EaselError, code="share_link_expired", status=410):
    """The share link has expired."""

    default_detail = "This link has expired. Ask for a new one."


class NotReady(EaselError, code="not_ready", status=409, retryable=True):
    """The requested image does not exist yet."""


class WrongState(EaselError, code="wrong_state", status=409):
    """The job's state does not allow this operation."""


class ContactSheetFailed(EaselError, code="contact_sheet_failed", status=409):
    """The contact sheet of the batch could not be made, and is not tried again; the detail says why."""


class StorageQuotaExceeded(EaselError, code="storage_quota_exceeded", status=403):
    """The tenant's images and jobs take as many bytes as its quota allows; `stored_bytes` and `limit_bytes` say so."""

    @classmethod
    def of(cls, stored: int, limit: int) -> Self:
        """Return the error for a tenant that stores that many bytes."""
        return cls(
            f"Your images and jobs take {stored:,} bytes, and your quota is {limit:,}. Delete jobs and uploaded "
            "images that you no longer need, or ask the service's operator for more.",
            stored_bytes=stored,
            limit_bytes=limit,
        )


class QueueFull(EaselError, code="queue_full", status=429, retryable=True):
    """EASEL_QUEUE_LIMIT jobs are queued."""

    default_detail = "The queue is full; try again when some jobs have ended."


class TooManyQueuedJobs(EaselError, code="too_many_queued_jobs", status=429, retryable=True):
    """As many jobs of the tenant are queued as its quota allows."""

    default_detail = "Your quota of queued jobs is used up; try again when some of your jobs have started."


class DailyQuotaExceeded(EaselError, code="daily_quota_exceeded", status=429, retryable=True):
    """The job or batch would exceed what the tenant may compute in a day (UTC); a smaller one may fit."""

    @classmethod
    def of(cls, cost: int, limit: int, seconds_left: float, *, jobs: int = 1) -> Self:
        """Return the error for one or several jobs of that many pixel evaluations; the day ends in `seconds_left`."""
        subject = "This job takes" if jobs == 1 else f"These {jobs} jobs take"
        return cls(
            f"{subject} {cost:,} pixel evaluations, and fewer are left of today's (UTC) {limit:,}. Submit "
            f"{'a smaller one' if jobs == 1 else 'fewer'}" + (", or wait until tomorrow." if cost <= limit else "."),
            retry_after_seconds=math.ceil(seconds_left),
        )


class RateLimited(EaselError, code="rate_limited", status=429, retryable=True):
    """The tenant sends more requests per second than its quota allows."""


class TooManyStreams(EaselError, code="too_many_streams", status=429, retryable=True):
    """The client has EASEL_STREAMS_PER_CLIENT streams open."""


# Errors that the operator can fix.


class Unavailable(EaselError, code="unavailable", status=503, retryable=True):
    """A service that Easel depends on is not available."""


class LedgerUnavailable(Unavailable, code="ledger_unavailable"):
    """Redis does not respond in time."""


class LedgerReadOnly(LedgerUnavailable, code="ledger_read_only"):
    """Redis accepts no writes: it is full, cannot save, or is a replica. Nothing was changed."""


class LedgerLost(Unavailable, code="ledger_lost"):
    """Redis lost the ledger that the blob store belongs to: it was emptied or replaced."""

    default_detail = "The queue lost its data and is being rebuilt; try again in a minute."


class StorageUnavailable(Unavailable, code="storage_unavailable"):
    """The blob store rejects requests or does not respond in time."""


class ServerBusy(Unavailable, code="server_busy"):
    """As many streams are open, or images wait to be decoded, as EASEL_API_THREADS allows."""


class BlobMissing(EaselError, code="blob_missing", status=404):
    """There is no blob with this key."""


class WeightsUnavailable(EaselError, code="weights_unavailable"):
    """The requested VGG19 weights are not available."""


class GpuUnavailable(EaselError, code="gpu_unavailable"):
    """The GPU that a worker should use is not available."""


# Errors that end a job as `failed`; only `code` and `detail` are stored.


class JobFailure(EaselError):
    """The job failed, and a retry would not help."""


class ImageFetchFailed(JobFailure, code="image_fetch_failed"):
    """An image could not be fetched from its URL."""


class Diverged(JobFailure, code="diverged"):
    """The loss is not finite or explodes, and shorter steps do not help."""


class OutOfMemory(JobFailure, code="out_of_memory"):
    """The job needs more memory than the worker has."""


class AttemptsExhausted(JobFailure, code="attempts_exhausted"):
    """The job's worker died or hung EASEL_ATTEMPTS_LIMIT times without a new checkpoint."""


class ClaimLost(EaselError, code="claim_lost"):
    """The record no longer holds the claim's token, so its holder must stop writing."""
