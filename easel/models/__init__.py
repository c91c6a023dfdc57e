"""What the service returns: jobs, quotes, previews, deliveries, recipes, the queue. Times are aware datetimes."""

from easel.models.batches import BatchCounts, BatchStatus
from easel.models.job_resources import (
    Deliveries,
    Delivery,
    Filmstrip,
    ImageFormat,
    Preview,
    SavedIteration,
    SavedIterationList,
    ShareLink,
)
from easel.models.jobs import (
    TERMINAL,
    DurationRange,
    JobError,
    JobPage,
    JobState,
    JobStatus,
    Losses,
    Metrics,
    Progress,
    ServiceModel,
    Webhook,
)
from easel.models.queue import Queue, ThroughputBucket, Tier, Worker
from easel.models.submission import Quote, Recipes, SizeQuote, UploadedImage

__all__ = [
    "TERMINAL",
    "BatchCounts",
    "BatchStatus",
    "Deliveries",
    "Delivery",
    "DurationRange",
    "Filmstrip",
    "ImageFormat",
    "JobError",
    "JobPage",
    "JobState",
    "JobStatus",
    "Losses",
    "Metrics",
    "Preview",
    "Progress",
    "Queue",
    "Quote",
    "Recipes",
    "SavedIteration",
    "SavedIterationList",
    "ServiceModel",
    "ShareLink",
    "SizeQuote",
    "ThroughputBucket",
    "Tier",
    "UploadedImage",
    "Webhook",
    "Worker",
]
