"""One tree of errors. Each class carries the stable `code` and HTTP `status` that clients see.

`retryable` says that the same request may succeed later, unchanged. `detail` is a sentence for a
person and names the fix; `extra` becomes further members of the problem+json (RFC 9457, section 3.2).
"""

from typing import Any, ClassVar


class EaselError(Exception):
    """Root of everything that Easel raises on purpose."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    usual_detail: ClassVar[str] = "Something went wrong here; the log has the details."
    """Where there is nothing particular to say."""

    def __init__(self, detail: str | None = None, **extra: Any) -> None:
        self.detail = detail or self.usual_detail
        self.extra = extra
        super().__init__(self.detail)


# What the sender can mend.


class BadInput(EaselError):
    """The request cannot be honoured as it was sent."""

    code, status = "bad_input", 422


class MalformedRequest(BadInput):
    """Not parsable at all: broken JSON, a broken multipart body, a parameter of the wrong type."""

    code, status = "malformed_request", 400


class MethodNotAllowed(BadInput):
    """This address does not do that."""

    code, status = "method_not_allowed", 405


class UnsupportedMediaType(BadInput):
    """A body of another type than the one this address takes."""

    code, status = "unsupported_media_type", 415


class InvalidCursor(BadInput):
    """A list cursor that this service did not hand out."""

    code, status = "invalid_cursor", 400


class InvalidJobId(BadInput):
    """An id that no job can have."""

    code, status = "invalid_job_id", 404


class BodyTooLarge(BadInput):
    """More bytes than EASEL_MAX_BODY_BYTES."""

    code, status = "body_too_large", 413


class MissingImage(BadInput):
    """No content or no style image in the form."""

    code = "missing_image"


class TooManyImages(BadInput):
    """More than one content image, or more styles than allowed."""

    code = "too_many_images"


class NotAnImage(BadInput):
    """Bytes in no accepted format."""

    code = "not_an_image"


class BrokenImage(BadInput):
    """A known format, but truncated or corrupt."""

    code = "broken_image"


class AnimatedImage(BadInput):
    """More than one frame: which one is meant is not ours to guess."""

    code = "animated_image"


class ImageTooLarge(BadInput):
    """More pixels than EASEL_MAX_PIXELS, judged by the header before any pixel is decoded."""

    code = "image_too_large"


class ImageTooSmall(BadInput):
    """A side too short for five blocks of VGG19."""

    code = "image_too_small"


class InvalidRecipe(BadInput):
    """An unknown field, a number out of range, a layer that VGG19 lacks; `errors` lists each one."""

    code = "invalid_recipe"


class UnknownTier(BadInput):
    """A waiting line that is not in EASEL_TIERS."""

    code = "unknown_tier"


class DoesNotFit(BadInput):
    """More memory than any living worker of the tier has; `fitting_size` says at which size it would fit, if any."""

    code = "does_not_fit"


class InvalidWebhook(BadInput):
    """An address that we do not call, or an event that there is not; `errors` names the part of the form."""

    code = "invalid_webhook"


class WebhooksDisabled(BadInput):
    """A webhook where EASEL_WEBHOOK_SECRET is not set: nobody could tell our requests from forged ones."""

    code = "webhooks_disabled"
    usual_detail = "This service sends no webhooks; its operator turns them on by EASEL_WEBHOOK_SECRET."


class IdempotencyKeyReused(BadInput):
    """The same Idempotency-Key came before with another request."""

    code = "idempotency_key_reused"
    usual_detail = "This Idempotency-Key came before with another request; use a new key for a new job."


class Unauthorized(EaselError):
    """No key, or one that is not in EASEL_API_KEYS."""

    code, status = "unauthorized", 401


class Forbidden(EaselError):
    """A Host or Origin header that a browser page of another site would send."""

    code, status = "forbidden", 403


class CsrfFailed(Forbidden):
    """A cookie came without the token that only the service's own pages know."""

    code = "csrf_failed"
    usual_detail = "Send the session's token as X-CSRF-Token; GET /v1/session tells it. Or reload the page."


class NotFound(EaselError):
    """Nothing here."""

    code, status = "not_found", 404


class JobNotFound(NotFound):
    """No job has this id, or it was deleted."""

    code = "job_not_found"


class NotReady(EaselError):
    """The picture asked for does not exist yet."""

    code, status, retryable = "not_ready", 409, True


class WrongState(EaselError):
    """The job's state does not allow this act."""

    code, status = "wrong_state", 409


class QueueFull(EaselError):
    """EASEL_QUEUE_LIMIT jobs already wait."""

    code, status, retryable = "queue_full", 429, True
    usual_detail = "As many jobs wait as this service takes; try again when some have been done."


class TooManyStreams(EaselError):
    """One client has as many streams open as EASEL_STREAMS_PER_CLIENT allows."""

    code, status, retryable = "too_many_streams", 429, True


# What the operator can mend.


class Unavailable(EaselError):
    """A part that the service stands on does not answer."""

    code, status, retryable = "unavailable", 503, True


class LedgerUnavailable(Unavailable):
    """Redis does not answer, or too slowly."""

    code = "ledger_unavailable"


class LedgerReadOnly(LedgerUnavailable):
    """Redis answers but takes no writes: it is full, cannot save, or is a replica. Nothing was changed."""

    code = "ledger_read_only"


class LedgerLost(Unavailable):
    """Redis answers but is not the ledger these blobs belong to: it was emptied or replaced."""

    code = "ledger_lost"
    usual_detail = "The queue lost its memory and is being rebuilt; try again in a minute."


class BlobsUnavailable(Unavailable):
    """The blob store refuses or is too slow."""

    code = "blobs_unavailable"


class TooManyWatchers(Unavailable):
    """As many streams are open as EASEL_API_THREADS leaves room for."""

    code = "too_many_watchers"


class BlobMissing(EaselError):
    """No blob under this key."""

    code, status = "blob_missing", 404


class WeightsUnavailable(EaselError):
    """The VGG19 weights asked for cannot be had here."""

    code = "weights_unavailable"


# What ends a job `failed`; only `code` and `detail` reach the record.


class JobFailure(EaselError):
    """The job cannot be finished by trying again."""


class Diverged(JobFailure):
    """The loss is not a finite number any more, or explodes, and shorter steps do not help."""

    code = "diverged"


class OutOfMemory(JobFailure):
    """The picture takes more memory than the worker has."""

    code = "out_of_memory"


class AttemptsExhausted(JobFailure):
    """The job took its worker down with it, time after time."""

    code = "attempts_exhausted"


class ClaimLost(EaselError):
    """The claim's token stands in the record no more: whoever holds it must write nothing further."""

    code = "claim_lost"
