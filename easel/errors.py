"""The errors that the client raises: ApiError, and one subclass per HTTP status or group of statuses."""

from typing import Any, Final

import httpx2

from easel.retry_after import parse_retry_after

_GATEWAY_STATUSES: Final = frozenset({502, 503, 504})
"""A proxy responds with these while the service behind it restarts."""


class ApiError(Exception):
    """The service returned an error, or no usable response.

    Attributes:
        detail: A sentence for people that names the fix.
        code: A stable identifier of the error.
        status: The HTTP status; 0 if there was no response.
        retryable: Whether the same request may succeed later.
        retry_after: Seconds to wait before; 0 if the service named no time.
        extra: Further members of the problem (RFC 9457, section 3.2), such as `errors` of an `invalid_recipe`.
    """

    def __init__(
        self,
        detail: str,
        *,
        code: str,
        status: int = 0,
        retryable: bool = False,
        retry_after: float = 0.0,
        extra: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{detail} [{code}]")
        self.detail, self.code, self.status = detail, code, status
        self.retryable, self.retry_after, self.extra = retryable, retry_after, extra or {}

    def add_subject(self, subject: str) -> None:
        """Put what the error is about, such as a file name, in front of the detail."""
        self.detail = f"{subject}: {self.detail}"
        self.args = (f"{self.detail} [{self.code}]",)

    @property
    def transient(self) -> bool:
        """Whether the client retries the request."""
        return self.retryable


class BadInput(ApiError):
    """The request is invalid: `invalid_recipe`, `not_an_image`, `does_not_fit` and others."""


class Unauthorized(ApiError):
    """The API key (`api_key`, or EASEL_API_KEY) is missing or not one of the service's."""


class Forbidden(ApiError):
    """The service does not allow the request: of this origin or key, or beyond a quota, `storage_quota_exceeded`."""


class NotFound(ApiError):
    """The job does not exist, or was deleted."""


class Conflict(ApiError):
    """The job's state does not allow the request: `not_ready` may change, `wrong_state` will not."""

    @property
    def transient(self) -> bool:
        """Always False: only the job's own progress can change the response."""
        return False


class TooManyRequests(ApiError):
    """A limit is reached: of the service, such as `queue_full`, or of this client, such as `too_many_streams`."""


class Unavailable(ApiError):
    """The service or a part that it depends on is unavailable or, as `server_busy`, at capacity."""


class Unreachable(ApiError):
    """There was no response, or an incomplete one. `sent` is False if the request certainly was not executed."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(
            f"Easel at {url} does not respond ({reason}); is `make up` running, and is EASEL_URL right?",
            code="unreachable",
            retryable=True,
        )
        self.sent = sent


_STATUS_CLASSES: Final[dict[int, type[ApiError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: TooManyRequests,
}


def error_class(status: int) -> type[ApiError]:
    """Return the class for a status of 400 or above. Every code of shared/errors.py has one status, thus one class."""
    return _STATUS_CLASSES.get(status, BadInput if status < httpx2.codes.INTERNAL_SERVER_ERROR else Unavailable)


def error_from_response(response: httpx2.Response) -> ApiError:
    """Return the error for a response of 400 or above, whether or not its body is a problem+json."""
    status = response.status_code
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    problem: dict[str, Any] = dict(parsed) if isinstance(parsed, dict) else {}
    return error_class(status)(
        str(problem.pop("detail", None) or f"The server responded {status} without a reason; is EASEL_URL right?"),
        code=str(problem.pop("code", f"http_{status}")),
        status=status,
        retryable=bool(problem.pop("retryable", status in _GATEWAY_STATUSES)),
        retry_after=parse_retry_after(response.headers.get("retry-after", "")),
        extra={name: value for name, value in problem.items() if name not in {"type", "title", "status"}},
    )
