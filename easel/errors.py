"""What can go wrong between a client and the service: one tree of errors, a class for each family of HTTP statuses."""

from typing import Any, Final

import httpx2

from easel import retry_after

_GATEWAY_STATUS: Final = frozenset({502, 503, 504})
"""A proxy says these while the service behind it restarts."""


class ApiError(Exception):
    """The service refused. `code` is stable, `detail` a sentence for a person that names the fix.

    `status` is the HTTP status, 0 where the request never left. `retryable` says that the same request
    may succeed later, after `retry_after` seconds where the service named a time. `extra` holds the
    further members of the problem (RFC 9457, section 3.2), such as `errors` of an `invalid_recipe`.
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

    def name(self, what: str) -> None:
        """Say before all else what it is about."""
        self.detail = f"{what}: {self.detail}"
        self.args = (f"{self.detail} [{self.code}]",)

    @property
    def passing(self) -> bool:
        """Whether the same request is worth another attempt soon."""
        return self.retryable


class BadInput(ApiError):
    """The request cannot be honoured as it was sent: `invalid_recipe`, `not_an_image`, `does_not_fit` and others."""


class Unauthorized(ApiError):
    """No key, or a wrong one."""


class Forbidden(ApiError):
    """The service does not talk with whoever asks like this."""


class NotFound(ApiError):
    """No such job, or none any more."""


class Conflict(ApiError):
    """Not in this state of the job: `not_ready` may change, `wrong_state` will not."""

    @property
    def passing(self) -> bool:
        """Never: it speaks of the job, not of the service, and only the job's own progress changes it."""
        return False


class TooMany(ApiError):
    """As much as the service takes at once: `queue_full`; as much as it takes of you: `too_many_streams`."""


class Unavailable(ApiError):
    """The service, or a part that it stands on, is in trouble or, as `too_many_watchers`, has its hands full."""


class Unreachable(ApiError):
    """No answer at all, or one that broke off; `sent` is False where the request surely was not carried out."""

    def __init__(self, url: str, reason: str, *, sent: bool) -> None:
        super().__init__(
            f"Easel at {url} does not answer ({reason}); is `make up` running, and is EASEL_URL right?",
            code="unreachable",
            retryable=True,
        )
        self.sent = sent


_FAMILIES: Final[dict[int, type[ApiError]]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    429: TooMany,
}


def family(status: int) -> type[ApiError]:
    """The class for a status of 400 and above. Every code of shared/errors.py has one status, thus one family."""
    return _FAMILIES.get(status, BadInput if status < httpx2.codes.INTERNAL_SERVER_ERROR else Unavailable)


def refusal(response: httpx2.Response) -> ApiError:
    """The error that a response of 400 and above stands for, whether or not it is a problem+json."""
    status = response.status_code
    try:
        parsed = response.json()
    except ValueError:
        parsed = None
    body: dict[str, Any] = dict(parsed) if isinstance(parsed, dict) else {}
    return family(status)(
        str(body.pop("detail", None) or f"The server answered {status} and no reason; is EASEL_URL right?"),
        code=str(body.pop("code", f"http_{status}")),
        status=status,
        retryable=bool(body.pop("retryable", status in _GATEWAY_STATUS)),
        retry_after=retry_after.seconds(response.headers.get("retry-after", "")),
        extra={name: value for name, value in body.items() if name not in {"type", "title", "status"}},
    )
