"""JSON as RFC 8259 defines it, in UTF-8. What parsers read in different ways is refused."""

import json
import re
from collections import Counter
from typing import Any, Final

from shared.errors import BadInput, MalformedRequest
from shared.validation_messages import MAX_ERRORS, shorten

_SURROGATE: Final = re.compile(r"\\u[dD]")


def parse_strict_json(body: str | bytes, *, name: str, ambiguous: type[BadInput] = MalformedRequest) -> Any:
    """Return the value in `body`, which errors call `name`.

    Raises MalformedRequest, and `ambiguous` for a repeated name, NaN and Infinity.
    """

    def reject_constant(constant: str) -> Any:
        detail = f"The {name} contains {constant}, which is not a finite number."
        raise ambiguous(detail, errors=[{"field": name, "message": constant}])

    def without_repeated_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            counts = Counter(key for key, _ in pairs)
            repeated = [shorten(key) for key, count in counts.items() if count > 1][:MAX_ERRORS]
            errors = [{"field": key, "message": "repeated"} for key in repeated]
            raise ambiguous(f"The {name} repeats {', '.join(repeated)}.", errors=errors)
        return value

    try:
        text = body if isinstance(body, str) else body.decode("utf-8-sig")
        value = json.loads(text, parse_constant=reject_constant, object_pairs_hook=without_repeated_names)
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate is valid JSON, but not valid text
    except RecursionError as error:
        raise MalformedRequest(f"The {name} is nested too deeply.") from error
    except ValueError as error:
        reason = f"not valid JSON: {str(error).partition(';')[0]}" if body.strip() else "empty"  # after ; is Python's
        raise MalformedRequest(f"The {name} is {reason}.") from error
    return value
