"""Errors of requests for files."""

from shared.errors import BadInput


class NotAcceptable(BadInput, code="not_acceptable", status=406):
    """The file is not available in a format that the header `Accept` allows."""


class PreconditionFailed(BadInput, code="precondition_failed", status=412):
    """The file is not the one that the header `If-Match` names."""

    default_detail = "The file has another ETag than If-Match; fetch it without this header."


class RangeNotSatisfiable(BadInput, code="range_not_satisfiable", status=416):
    """The file ends before the first byte of the header `Range`; `size` is its length in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes; the range begins after its end.", size=size)
