"""How long another server asks us to wait."""

import time
from email.utils import parsedate_to_datetime
from typing import Final

_MOST_DIGITS: Final = 9


def seconds(header: str) -> float:
    """What a Retry-After asks for (RFC 9110, section 10.2.3), as a number or a date; 0 where it is neither."""
    if header.isascii() and header.isdigit():
        return float(header[:_MOST_DIGITS])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time.time())
    except (ValueError, OverflowError):
        return 0.0
