"""The Python client.

    from easel import Easel

    with Easel() as easel:
        job = easel.submit("photo.jpg", ["painting.jpg"], recipe="default")
        job.wait()
        Path("picture.png").write_bytes(job.result())

With asyncio it is AsyncEasel, whose calls and whose jobs' calls are awaited and are the same otherwise.

Requests that meet a lost connection or a passing trouble are sent again, a few times, with growing
pauses; every submission carries an idempotency key, so that sending it twice makes one job.
What is raised is ApiError, or of a class beneath it: see refusals.py.
"""

from easel._version import __version__
from easel.client import DEFAULT_URL, AsyncEasel, Easel, Recipe, recipe_fields
from easel.errors import (
    ApiError,
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    TooMany,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from easel.jobs import AsyncJob, Job
from easel.models import Delivery, Event, JobState, JobView, Preview, Queue, Quote, Range, Recipes

__all__ = [
    "DEFAULT_URL",
    "ApiError",
    "AsyncEasel",
    "AsyncJob",
    "BadInput",
    "Conflict",
    "Delivery",
    "Easel",
    "Event",
    "Forbidden",
    "Job",
    "JobState",
    "JobView",
    "NotFound",
    "Preview",
    "Queue",
    "Quote",
    "Range",
    "Recipe",
    "Recipes",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unreachable",
    "__version__",
    "recipe_fields",
]
