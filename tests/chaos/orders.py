"""What the crowd asks for."""

import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from chaos.engine import Kind
from chaos.pictures import PAINTINGS, photo

Fate = Literal["painted", "cancel", "finish", "twice"]
_FATES: Final[dict[Fate, int]] = {"painted": 60, "cancel": 15, "finish": 15, "twice": 10}
_PHOTOS: Final = 8


@dataclass(frozen=True)
class Order:
    """One customer's wish."""

    recipe: dict[str, Any]
    content: bytes
    style: bytes
    kind: Kind = Kind.ORDINARY
    tier: str = "standard"
    painting: str | None = None  # the name of a TensorFlow recipe
    fate: Fate = "painted"
    after: float = 0.0  # seconds from the answer to the second thoughts
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def form(self) -> dict[str, Any]:
        """The body, as the HTTP client takes it."""
        files = [("content", ("content.png", self.content)), ("style", ("style.png", self.style))]
        return {"files": files, "data": {"recipe": json.dumps(self.recipe), "tier": self.tier}}


def orders(random: Random) -> Iterator[Order]:
    """Jobs for the engine that sleeps, without end."""
    while True:
        fate = random.choices(list(_FATES), list(_FATES.values()))[0]
        yield dream(random, Kind.ORDINARY, steps=random.randint(20, 160), fate=fate, after=random.uniform(0, 4))


def dream(random: Random, kind: Kind, *, steps: int = 60, fate: Fate = "painted", after: float = 0.0) -> Order:
    """One job of that kind."""
    recipe = {"preset": "fast", "size": 64, "steps": steps, "seed": kind.seed(random.getrandbits(24))}
    content, style = (photo(random.randrange(_PHOTOS)) for _ in range(2))
    return Order(recipe, content, style, kind=kind, fate=fate, after=after)


def paintings(random: Random) -> Iterator[Order]:
    """Jobs for TensorFlow, without end."""
    for name in itertools.cycle(PAINTINGS):
        fate = random.choices(list(_FATES), list(_FATES.values()))[0]
        yield Order(
            PAINTINGS[name], photo(0), photo(1), tier="batch", painting=name, fate=fate, after=random.uniform(4, 12)
        )
