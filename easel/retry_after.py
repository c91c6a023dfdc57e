"""The header Retry-After (RFC 9110, section 10.2.3)."""

import time
from email.utils import parsedate_to_datetime
from typing import Final

_MAX_DIGITS: Final = 9


def parse_retry_after(header: str) -> float:
    """Return the seconds to wait according to Retry-After, a number or a date; 0 if it is neither."""
    if header.isascii() and header.isdigit():
        return float(header[:_MAX_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
