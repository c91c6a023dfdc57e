"""One tree of errors. Each class states the stable `code` and HTTP `status` that clients see; the rest it inherits.

`retryable` says that the same request may succeed later, unchanged. `detail` is a sentence for a
person and names the fix; `extra` becomes further members of the problem+json (RFC 9457, section 3.2).
"""

from typing import Any, ClassVar, TypedDict, Unpack


class _Traits(TypedDict, total=False):
    """What the statement of a class says of it."""

    code: str
    status: int
    retryable: bool


class EaselError(Exception):
    """Root of everything that Easel raises on purpose."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    usual_detail: ClassVar[str] = "Something went wrong here; the log has the details."
    """Where there is nothing particular to say."""

    def __init_subclass__(cls, **traits: Unpack[_Traits]) -> None:
        super().__init_subclass__()
        for name, value in traits.items():
            setattr(cls, name, value)

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or self.usual_detail
        self.extra = extra
        super().__init__(self.detail)


# What the sender can mend.


class BadInput(EaselError, code="bad_input", status=422):
    """The request cannot be honoured as it was sent."""


class MalformedRequest(BadInput, code="malformed_request", status=400):
    """Not parsable at all: broken JSON, a broken multipart body, a parameter of the wrong type."""


class MethodNotAllowed(BadInput, code="method_not_allowed", status=405):
    """This address does not do that."""


class UnsupportedMediaType(BadInput, code="unsupported_media_type", status=415):
    """A body of another type than the one this address takes."""


class InvalidCursor(BadInput, code="invalid_cursor", status=400):
    """A list cursor that this service did not hand out."""


class InvalidJobId(BadInput, code="invalid_job_id", status=404):
    """An id that no job can have."""


class BodyTooLarge(BadInput, code="body_too_large", status=413):
    """More bytes than EASEL_MAX_BODY_BYTES."""


class MissingImage(BadInput, code="missing_image"):
    """No content or no style image in the form."""


class TooManyImages(BadInput, code="too_many_images"):
    """More than one content image, or more styles than allowed."""


class NotAnImage(BadInput, code="not_an_image"):
    """Bytes in no accepted format."""


class BrokenImage(BadInput, code="broken_image"):
    """A known format, but truncated or corrupt."""


class AnimatedImage(BadInput, code="animated_image"):
    """More than one frame: which one is meant is not ours to guess."""


class ImageTooLarge(BadInput, code="image_too_large"):
    """More pixels than EASEL_MAX_PIXELS, judged by the header before any pixel is decoded."""


class ImageTooSmall(BadInput, code="image_too_small"):
    """A side too short for five blocks of VGG19."""


class InvalidRecipe(BadInput, code="invalid_recipe"):
    """An unknown field, a number out of range, a layer that VGG19 lacks; `errors` lists each one."""


class UnknownTier(BadInput, code="unknown_tier"):
    """A waiting line that is not in EASEL_TIERS."""


class DoesNotFit(BadInput, code="does_not_fit"):
    """More memory than any living worker of the tier has; `fitting_size` says at which size it would fit, if any."""


class InvalidWebhook(BadInput, code="invalid_webhook"):
    """An address that we do not call, or an event that there is not; `errors` names the part of the form."""


class WebhooksDisabled(BadInput, code="webhooks_disabled"):
    """A webhook where EASEL_WEBHOOK_SECRET is not set: nobody could tell our requests from forged ones."""

    usual_detail = "This service sends no webhooks; its operator turns them on by EASEL_WEBHOOK_SECRET."


class IdempotencyKeyReused(BadInput, code="idempotency_key_reused"):
    """The same Idempotency-Key came before with another request."""

    usual_detail = "This Idempotency-Key came before with another request; use a new key for a new job."


class Unauthorized(EaselError, code="unauthorized", status=401):
    """No key, or one that is not in EASEL_API_KEYS."""


class Forbidden(EaselError, code="forbidden", status=403):
    """Without keys: a request from another machine, through a proxy, or as a page of another site would send it."""


class CsrfFailed(Forbidden, code="csrf_failed"):
    """A cookie came without the token that only the service's own pages know."""

    usual_detail = "Send the session's token as X-CSRF-Token; GET /v1/session tells it. Or reload the page."


class NotFound(EaselError, code="not_found", status=404):
    """Nothing here."""


class JobNotFound(NotFound, code="job_not_found"):
    """No job has this id, or it was deleted."""


class NotReady(EaselError, code="not_ready", status=409, retryable=True):
    """The picture asked for does not exist yet."""


class WrongState(EaselError, code="wrong_state", status=409):
    """The job's state does not allow this act."""


class QueueFull(EaselError, code="queue_full", status=429, retryable=True):
    """EASEL_QUEUE_LIMIT jobs already wait."""

    usual_detail = "As many jobs wait as this service takes; try again when some have been done."


class TooManyStreams(EaselError, code="too_many_streams", status=429, retryable=True):
    """One client has as many streams open as EASEL_STREAMS_PER_CLIENT allows."""


# What the operator can mend.


class Unavailable(EaselError, code="unavailable", status=503, retryable=True):
    """A part that the service stands on does not answer."""


class LedgerUnavailable(Unavailable, code="ledger_unavailable"):
    """Redis does not answer, or too slowly."""


class LedgerReadOnly(LedgerUnavailable, code="ledger_read_only"):
    """Redis answers but takes no writes: it is full, cannot save, or is a replica. Nothing was changed."""


class LedgerLost(Unavailable, code="ledger_lost"):
    """Redis answers but is not the ledger these blobs belong to: it was emptied or replaced."""

    usual_detail = "The queue lost its memory and is being rebuilt; try again in a minute."


class BlobsUnavailable(Unavailable, code="blobs_unavailable"):
    """The blob store refuses or is too slow."""


class TooManyWatchers(Unavailable, code="too_many_watchers"):
    """As many streams are open as EASEL_API_THREADS leaves room for."""


class BlobMissing(EaselError, code="blob_missing", status=404):
    """No blob under this key."""


class WeightsUnavailable(EaselError, code="weights_unavailable"):
    """The VGG19 weights asked for cannot be had here."""


class GpuUnavailable(EaselError, code="gpu_unavailable"):
    """A worker was asked to use a GPU that is not here."""


# What ends a job `failed`; only `code` and `detail` reach the record.


class JobFailure(EaselError):
    """The job cannot be finished by trying again."""


class Diverged(JobFailure, code="diverged"):
    """The loss is not a finite number any more, or explodes, and shorter steps do not help."""


class OutOfMemory(JobFailure, code="out_of_memory"):
    """The picture takes more memory than the worker has."""


class AttemptsExhausted(JobFailure, code="attempts_exhausted"):
    """The job took its worker down with it, time after time."""


class ClaimLost(EaselError, code="claim_lost"):
    """The claim's token stands in the record no more: whoever holds it must write nothing further."""
