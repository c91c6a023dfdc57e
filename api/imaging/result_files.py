"""Where a job's result is, and its file in the format that a client requests."""

from dataclasses import dataclass
from typing import Final

from flask import g
from werkzeug.datastructures import MIMEAccept

from api.context import Context
from api.http.download_errors import NotAcceptable
from api.imaging.metadata import Origin
from easel.models import TERMINAL, ImageFormat, JobState
from shared.errors import BrokenImage, ImageTooLarge, ImageTooSlow, NotReady, WrongState
from shared.imaging.result_formats import CONVERTER, LOSSY, convert
from shared.jobs.job import Job
from shared.storage import keys

FORMATS: Final[tuple[ImageFormat, ...]] = ("png", "jpeg", "webp", "tiff")
_VERSION: Final = 1
"""A part of the ETags of results. Increase it when the same result gives another file."""


def result_key(job: Job) -> str:
    """Return the key of a job's result. Raises NotReady, WrongState."""
    if job.result is not None:
        return job.result
    if job.state in TERMINAL:
        outcome = "was canceled" if job.state is JobState.CANCELED else "failed"
        raise WrongState(f"The job {outcome} and has no result. Its preview may show how far it got.")
    raise NotReady("The result is not ready. Wait for the job to end, or finish it early.")


def negotiate_format(accept: MIMEAccept) -> ImageFormat:
    """Return PNG if the header allows it, else the best of the other formats. Raises NotAcceptable.

    So a browser gets the lossless file, although it prefers WebP.
    """
    if not accept or accept["image/png"]:
        return "png"
    best = accept.best_match([f"image/{name}" for name in FORMATS])
    for name in FORMATS:
        if best == f"image/{name}":
            return name
    allowed = ", ".join(f"image/{name}" for name in FORMATS)
    raise NotAcceptable(f"The result is not available as {accept}. Accept one of {allowed}, or send `format`.")


@dataclass(frozen=True)
class ResultFile:
    """A file made of the stored PNG `key`. `quality` counts if the format is lossy."""

    key: str
    format: ImageFormat
    quality: int
    metadata: bool

    @property
    def name(self) -> str:
        """A name that always refers to the same bytes."""
        parts = [str(_VERSION), self.key]
        parts += [CONVERTER] if self.format != "png" else []
        parts += [str(self.quality)] if self.format in LOSSY else []
        parts += [] if self.metadata else ["bare"]
        return f"{'-'.join(parts)}.{self.format}"

    def read(self, context: Context) -> bytes:
        """Return the file, which is converted in a process that is ended at the limits of uploads.

        Raises ServerBusy; ImageTooSlow, ImageTooLarge or BrokenImage at a limit.
        """
        blobs = context.services.blobs
        origin = Origin(blobs.get(keys.provenance(self.key))) if self.metadata else None
        if self.format == "png":
            return origin.add_to_png(blobs.get(self.key)) if origin else blobs.get(self.key)
        if cached := context.thumbnails.get(self.name):
            return cached
        xmp = origin.xmp() if origin else None
        try:
            with context.decoder.slot(g.caller.name) as decode:
                if cached := context.thumbnails.get(self.name):  # converted for another request
                    return cached
                file = decode(convert, blobs.get(self.key), self.format, self.quality, xmp=xmp)
        except (ImageTooSlow, ImageTooLarge, BrokenImage) as error:
            raise type(error)(
                f"Converting the result to {self.format.upper()} exceeds the server's limits of time or memory. Fetch "
                "it as a PNG."
            ) from error
        return context.thumbnails.put(self.name, file)
