"""Random values: valid ones, and those that break programs."""

import json
import string
from random import Random
from typing import Any, Final

from shared.presets import PRESETS
from shared.recipe import Recipe

STRINGS: Final = (
    *(
        "",
        " ",
        "\t",
        "\0",
        "\x7f",
        "\x85",
        "é",
        "\u202e",
        "\ufeff",
        "\ud800",
        "\U0001d4b3",
        "\uff11\uff12",
        "٣",
        "a\0b",
        "\r\nX-Evil: 1",
    ),
    *("..", "../../etc/passwd", "..\\..\\x", "/", "//", "%", "%00", "%zz", "%2e%2e%2f", ".", "~", "*", "?", "#", "a/b"),
    *(
        "null",
        "true",
        "NaN",
        "Infinity",
        "-0",
        "-1",
        "0",
        "1e999",
        "1e-999",
        "0x10",
        "9" * 30,
        "9" * 5000,
        "1_000",
        "+1",
    ),
    *(
        "[]",
        "{}",
        '"',
        "'",
        '{"a":',
        "[" * 2000,
        '{"a":' * 2000,
        "<script>alert(1)</script>",
        "{{7*7}}",
        "${x}",
        "%s%n",
    ),
    *(
        "' OR 1=1 --",
        "easel:job:",
        "jobs/x/final.json",
        "2026-11-28T12:00:00Z",
        "9999-12-31T23:59:59Z",
        "0001-01-01T00Z",
    ),
    *("a" * 300, "é" * 3000, "\U0010ffff" * 200),
)
NUMBERS: Final = (
    0,
    -0.0,
    1,
    -1,
    2,
    7,
    255,
    256,
    4096,
    4097,
    2**31,
    2**53 + 1,
    2**63,
    -(2**63),
    10**400,
    0.5,
    1e308,
    5e-324,
)
_FIELDS: Final[dict[str, Any]] = Recipe.model_json_schema()["properties"]
_CHARACTERS: Final = string.printable + "äπ漢🖼\0\u2028"


def text(random: Random) -> str:
    """Return a string that breaks programs, or a random one."""
    if random.random() < 0.6:
        return random.choice(STRINGS)
    return "".join(random.choices(_CHARACTERS, k=random.randrange(40)))


def value(random: Random, depth: int = 2) -> Any:
    """Return any JSON value."""
    kind = random.randrange(8)
    if depth and kind == 0:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    if depth and kind == 1:
        return {text(random): value(random, depth - 1) for _ in range(random.randrange(4))}
    return (random.choice(NUMBERS), text(random), None, True, float("nan"), random.uniform(-10, 10))[kind % 6]


def recipe(random: Random) -> str:
    """Return a recipe: mostly fields that exist, with values in and out of their bounds; sometimes anything."""
    if random.random() < 0.1:
        return random.choice((text(random), json.dumps(value(random))))
    fields: dict[str, Any] = {}
    if random.random() < 0.8:
        fields["preset"] = random.choice([*PRESETS]) if random.random() < 0.9 else text(random)
    for _ in range(random.randrange(5)):
        name = random.choice([*_FIELDS])
        fields[name] = _of_field(random, _FIELDS[name])
    if random.random() < 0.1:
        fields[text(random)] = value(random)
    return json.dumps(fields)


def _of_field(random: Random, schema: dict[str, Any]) -> Any:
    if random.random() < 0.15:
        return value(random)
    schema = random.choice(schema.get("anyOf", [schema]))
    if "enum" in schema:
        return random.choice(schema["enum"])
    low, high = (schema.get(name, schema.get(f"exclusive{name.title()}")) for name in ("minimum", "maximum"))
    if schema.get("type") in {"integer", "number"}:
        low, high = -10 if low is None else low, 10_000 if high is None else high
        inside = random.randint(int(low), max(int(low), int(high)))
        return random.choice((inside, inside, inside + random.random(), low, high, low - 1, high + 1))
    if schema.get("type") == "array":
        return [_of_field(random, schema.get("items", {})) for _ in range(random.randrange(4))]
    return value(random)
