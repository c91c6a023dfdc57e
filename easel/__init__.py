"""The Python client.

    from pathlib import Path

    from easel import Easel

    with Easel() as easel:
        job = easel.submit("photo.jpg", ["painting.jpg"], "default")
        job.wait()
        Path("result.png").write_bytes(job.result())

AsyncEasel has the same methods for asyncio. Lost connections and transient errors are retried a few times with growing
pauses; each submission carries an idempotency key, so that a retry does not create a second job. Errors are ApiError
and its subclasses (easel/errors.py); events are described in easel/events.py.
"""

from easel._uploads import BinaryFile, ImageInput, RecipeInput, recipe_fields
from easel._version import __version__
from easel.batches import AsyncBatch, Batch
from easel.client import DEFAULT_URL, AsyncEasel, Easel
from easel.errors import (
    ApiError,
    BadInput,
    Conflict,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from easel.events import (
    AcknowledgedEvent,
    CancelRequestedEvent,
    EstimateEvent,
    FinishRequestedEvent,
    JobEvent,
    LeaseLostEvent,
    PreviewEvent,
    ProgressEvent,
    QueueChangedEvent,
    QueueEvent,
    StateEvent,
    UnknownEvent,
    WarningEvent,
    WorkerSilentEvent,
)
from easel.jobs import AsyncJob, Job
from easel.models import (
    BatchCounts,
    BatchStatus,
    Delivery,
    DurationRange,
    JobState,
    JobStatus,
    Preview,
    Queue,
    Quote,
    Recipes,
    SavedIteration,
    ShareLink,
)

__all__ = [
    "DEFAULT_URL",
    "AcknowledgedEvent",
    "ApiError",
    "AsyncBatch",
    "AsyncEasel",
    "AsyncJob",
    "BadInput",
    "Batch",
    "BatchCounts",
    "BatchStatus",
    "BinaryFile",
    "CancelRequestedEvent",
    "Conflict",
    "Delivery",
    "DurationRange",
    "Easel",
    "EstimateEvent",
    "FinishRequestedEvent",
    "Forbidden",
    "ImageInput",
    "Job",
    "JobEvent",
    "JobState",
    "JobStatus",
    "LeaseLostEvent",
    "NotFound",
    "Preview",
    "PreviewEvent",
    "ProgressEvent",
    "Queue",
    "QueueChangedEvent",
    "QueueEvent",
    "Quote",
    "RecipeInput",
    "Recipes",
    "SavedIteration",
    "ShareLink",
    "StateEvent",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnknownEvent",
    "Unreachable",
    "UploadedImage",
    "WarningEvent",
    "WorkerSilentEvent",
    "__version__",
    "recipe_fields",
]
