"""The job requests that clients send, and how each client behaves afterwards."""

import base64
import itertools
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final, Literal

from chaos.clients.images import TENSORFLOW_RECIPES, photo
from chaos.stack.engine import JobKind

Behavior = Literal["wait", "cancel", "finish", "submit_twice"]
_BEHAVIORS: Final[dict[Behavior, int]] = {"wait": 60, "cancel": 15, "finish": 15, "submit_twice": 10}
_PHOTOS: Final = 8

TENANTS: Final = ("north", "south")
BATCH_JOBS: Final = 3


@dataclass(frozen=True)
class JobRequest:
    """One submission."""

    recipe: dict[str, Any]
    content: bytes
    style: bytes
    tenant: str
    kind: JobKind = JobKind.ORDINARY
    tier: str = "standard"
    tensorflow_recipe: str | None = None  # a name in TENSORFLOW_RECIPES; None: for the sleeping engine
    behavior: Behavior = "wait"
    delay_seconds: float = 0.0  # from the 202 to the control request
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def form(self, webhook_url: str) -> dict[str, Any]:
        """Return the body as the HTTP client's keyword arguments."""
        fields = {"recipe": json.dumps(self.recipe), "tier": self.tier, "webhook_url": webhook_url}
        files = [("content", ("content.png", self.content)), ("style", ("style.png", self.style))]
        return {"files": files, "data": fields}

    def json_fields(self, webhook_url: str) -> dict[str, Any]:
        """Return the job as a member of a batch."""
        content, style = ({"base64": base64.b64encode(image).decode()} for image in (self.content, self.style))
        fields = {"recipe": self.recipe, "tier": self.tier, "webhook_url": webhook_url}
        return {"content": content, "styles": [style], **fields}


def sleeping_requests(random: Random) -> Iterator[JobRequest]:
    """Yield requests for the sleeping engine without end."""
    while True:
        behavior = _random_behavior(random)
        steps, delay = random.randint(20, 160), random.uniform(0, 4)
        yield sleeping_request(random, JobKind.ORDINARY, steps=steps, behavior=behavior, delay_seconds=delay)


def batch_requests(requests: Iterator[JobRequest]) -> list[JobRequest]:
    """Take the next requests as those of one batch, which is sent once, by one tenant."""
    first, *others = itertools.islice(requests, BATCH_JOBS)
    return [replace(one, tenant=first.tenant, behavior=_once(one)) for one in (first, *others)]


def sleeping_request(
    random: Random, kind: JobKind, *, steps: int = 60, behavior: Behavior = "wait", delay_seconds: float = 0.0
) -> JobRequest:
    """Return one request of that kind for the sleeping engine."""
    recipe = {"preset": "fast", "size": 64, "steps": steps, "seed": kind.seed(random.getrandbits(24))}
    recipe["save_every"] = random.choice([every for every in (0, 7, 20) if every <= steps])
    content, style = (photo(random.randrange(_PHOTOS)) for _ in range(2))
    tenant = random.choice(TENANTS)
    return JobRequest(recipe, content, style, tenant, kind=kind, behavior=behavior, delay_seconds=delay_seconds)


def tensorflow_requests(random: Random) -> Iterator[JobRequest]:
    """Yield requests for the real engine without end."""
    for name in itertools.cycle(TENSORFLOW_RECIPES):
        yield JobRequest(
            TENSORFLOW_RECIPES[name],
            photo(0),
            photo(1),
            random.choice(TENANTS),
            tier="batch",
            tensorflow_recipe=name,
            behavior=_random_behavior(random),
            delay_seconds=random.uniform(4, 12),
        )


def _once(request: JobRequest) -> Behavior:
    return "wait" if request.behavior == "submit_twice" else request.behavior


def _random_behavior(random: Random) -> Behavior:
    return random.choices(list(_BEHAVIORS), list(_BEHAVIORS.values()))[0]
