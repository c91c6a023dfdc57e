"""What a claimed job starts from: its images, and the newest checkpoint that can be used."""

from dataclasses import dataclass

import numpy as np
import structlog

from shared.errors import BlobMissing
from shared.imaging.deep_color import DecodedImage, decode_stored
from shared.imaging.display_p3 import convert
from shared.imaging.transparency import Alpha, separate_alpha
from shared.recipe import Recipe
from shared.storage import keys
from worker.job import checkpoint_format
from worker.job.checkpoint_format import BrokenCheckpointError, CheckpointState
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class JobInputs:
    """The images of a job as arrays: (H, W, 3) uint8 or uint16, styles with an alpha (H, W, 4), masks (H, W) uint8.

    All are in the color space of the recipe, which is the job's, or the content's if that is `auto`.
    """

    recipe: Recipe

    content: np.ndarray
    alpha: Alpha | None  # of the content; None if it is opaque
    styles: list[np.ndarray]
    init_image: np.ndarray | None
    masks: list[np.ndarray]


@dataclass(frozen=True)
class ResumePoint:
    """The checkpoint that a job resumes from."""

    key: str
    state: CheckpointState
    iterate: Iterate  # that the checkpoint was taken from
    bitwise: bool  # whether every step so far was done on machines like this one
    recorded: bool  # whether the record names this checkpoint


def load_inputs(session: JobSession) -> JobInputs:
    """Read and decode the job's images. Raises BlobMissing, BrokenImage, ClaimLost, Unavailable."""

    def decode(sha256: str) -> DecodedImage:
        return decode_stored(session.read(keys.input_image(sha256)))

    def pixels(sha256: str) -> np.ndarray:
        return convert(*decode(sha256), recipe.rendered_space)

    request = session.job.request
    photo = decode(request.content)
    recipe = request.recipe.in_space(photo.color_space)
    content, alpha = separate_alpha(convert(*photo, recipe.rendered_space))
    return JobInputs(
        recipe=recipe,
        content=content,
        alpha=alpha,
        styles=[_style(pixels(sha256)) for sha256 in request.styles],
        init_image=separate_alpha(pixels(request.init_image))[0] if request.init_image else None,
        masks=[np.ascontiguousarray(separate_alpha(decode(mask).pixels)[0][..., 0]) for mask in request.content_masks],
    )


def find_resume_point(
    session: JobSession, worker: WorkerState, inputs: JobInputs, recipe: Recipe, weights_sha256: str
) -> ResumePoint | None:
    """Return the newest checkpoint that can be used; None to start over. Raises ClaimLost, Unavailable."""
    job, handed_off = session.job, _handed_off_checkpoint(session)
    for key in filter(None, (handed_off, job.checkpoint, job.previous_checkpoint)):
        try:
            state = _checkpoint(session.read(key), weights_sha256)
        except (BlobMissing, BrokenCheckpointError) as error:
            log.warning("checkpoint_unusable", key=key, detail=str(error))
            session.retry(session.warn, "checkpoint_unusable", str(error))
            continue
        bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == worker.fingerprint
        iterate = worker.engine.restore_iterate(inputs.content, recipe, state, masks=inputs.masks)
        session.retry(session.renew, resumed_from_step=iterate.step)
        session.job = session.job.model_copy(update={"resumed_from_step": iterate.step})
        log.info("resumed", step=iterate.step, bitwise=bitwise)
        return ResumePoint(key, state, iterate, bitwise, recorded=key != handed_off)
    return None


def _style(pixels: np.ndarray) -> np.ndarray:
    """Return a style image; if it is not opaque, with its alpha as a mask."""
    return np.dstack([separate_alpha(pixels)[0], pixels[..., 3:]])


def _handed_off_checkpoint(session: JobSession) -> str | None:
    """Return the checkpoint in the last holder's handoff note if it is newer than the record's."""
    key = session.retry(session.read_handoff_note)
    return key if key and keys.checkpoint_step(key) > keys.checkpoint_step(session.job.checkpoint) else None


def _checkpoint(data: bytes, weights_sha256: str) -> CheckpointState:
    """Return the state in a checkpoint. Raises BrokenCheckpointError."""
    state = checkpoint_format.load(data)
    if state.pop("weights", None) != weights_sha256:
        raise BrokenCheckpointError("The checkpoint was made with other weights.")
    return state
