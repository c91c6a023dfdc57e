"""What belongs to a job: previews, saved iterations, result, webhook deliveries."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from easel.models.jobs import ServiceModel

ImageFormat = Literal["png", "jpeg", "webp", "tiff"]
"""The file formats of a result; PNG and TIFF are lossless."""


class Preview(ServiceModel):
    """One preview of the filmstrip: the image after `step` steps."""

    step: int = Field(description="Steps done.")
    at: datetime = Field(description="When it was made.")
    url: str = Field(description="Path of the JPEG.")


class Filmstrip(ServiceModel):
    """The previews of a job (`GET /v1/jobs/{id}/previews`), ordered by step."""

    previews: list[Preview] = Field(description="By step.")


class SavedIteration(ServiceModel):
    """One saved iteration: the image after `step` steps, at full size."""

    step: int = Field(description="Steps done.")
    url: str = Field(description="Path of the PNG.")


class SavedIterationList(ServiceModel):
    """The saved iterations of a job (`GET /v1/jobs/{id}/iterations`), ordered by step."""

    iterations: list[SavedIteration] = Field(description="By step.")


class ShareLink(ServiceModel):
    """A link to a result that needs no key (`POST /v1/jobs/{id}/share`)."""

    url: str = Field(description="The link to the result; its path, if EASEL_PUBLIC_URL is not set.")
    preview_url: str | None = Field(default=None, description="The same for a small JPEG; null if there is none.")
    expires_at: datetime = Field(description="When the link stops working.")


class Delivery(ServiceModel):
    """One attempt to deliver a webhook; `status` is the HTTP status of the receiver's response, if there was one."""

    id: str = Field(description="The event's ID, as in the header `webhook-id`: the same in every attempt.")
    event: str = Field(description="Such as `job.succeeded`.")
    attempt: int = Field(description="The number of the attempt, from 1.")
    at: datetime | None = Field(default=None, description="When it was made.")
    status: int | None = Field(default=None, description="HTTP status of the response; null without one.")
    error: str | None = Field(default=None, description="Why there was no response, or null.")
    next_attempt_at: datetime | None = Field(default=None, description="Null if there is no further attempt.")
    delivered: bool = Field(default=False, description="Whether the response was 2xx.")


class Deliveries(ServiceModel):
    """The webhook deliveries of a job (`GET /v1/jobs/{id}/deliveries`), oldest first."""

    deliveries: list[Delivery] = Field(description="Oldest first.")
