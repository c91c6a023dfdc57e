"""What a client needs before it submits: uploaded images, recipes, quotes."""

from datetime import datetime
from typing import Any

from pydantic import Field

from easel.models.jobs import DurationRange, ServiceModel


class UploadedImage(ServiceModel):
    """An image that quotes and jobs can refer to by its ID (`POST /v1/images`)."""

    id: str = Field(description="`sha256:` and the hash of the stored image. The same image has the same ID.")
    width: int = Field(description="In pixels, upright.")
    height: int = Field(description="In pixels, upright.")
    bit_depth: int = Field(default=8, description="Bits per channel: 8 or 16.")
    expires_at: datetime = Field(description="When the ID becomes unknown, unless it is used before.")


class Recipes(ServiceModel):
    """The presets by name, the fields of a recipe as a JSON Schema, and the names of the most important fields."""

    presets: dict[str, dict[str, Any]] = Field(description="All fields of each preset, by name.")
    fields: dict[str, Any] = Field(alias="schema", description="A JSON Schema of the fields of a recipe.")
    featured: list[str] = Field(default=[], description="The most important fields.")
    sizes: dict[str, int] = Field(default={}, description="The usual sizes by name, in pixels.")


class SizeQuote(ServiceModel):
    """What the same job would take at another size."""

    size: int = Field(description="Longest side in pixels.")
    seconds: float = Field(description="The p50 of its `run_seconds`.")
    fits: bool = Field(description="Whether a live worker of the tier has the memory; true if unknown.")


class Quote(ServiceModel):
    """The predicted cost of a job on one worker, without the time in the queue; sizes in pixels."""

    seconds: float = Field(description="The p50 of `run_seconds`.")
    run_seconds: DurationRange | None = Field(default=None, description="On one worker, without the time in the queue.")
    eta_seconds: DurationRange | None = Field(
        default=None, description="Until the job would end, including the time in the queue; null without a worker."
    )
    queue_depth: int = Field(default=0, description="Jobs queued before it in its tier.")
    running_jobs: int = Field(default=0, description="Jobs that are running now, in all tiers.")
    tier: str = Field(default="", description="The queue that the job would be in.")
    recipe: dict[str, Any] = Field(default={}, description="All fields of the recipe.")
    peak_memory_bytes: int = Field(description="The machine's memory, on a worker without a GPU.")
    peak_gpu_memory_bytes: int = Field(default=0, description="The GPU's memory, on a worker with one.")
    memory_kind: str = Field(
        default="host", description="The memory that limits the live workers of the tier: `host` or `gpu`."
    )
    width: int = Field(description="Of the result, in pixels.")
    height: int = Field(description="Of the result, in pixels.")
    fits: bool = Field(default=True, description="Whether a live worker of the tier has the memory; true if unknown.")
    fitting_size: int | None = Field(
        default=None, description="The largest size that fits; null if the job fits, or none does."
    )
    sizes: dict[str, SizeQuote] = Field(default={}, description="By the names of the usual sizes.")
