"""What a claimed job starts from: weights, images, and the newest checkpoint that can be used."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import structlog

from shared.errors import BlobMissing
from shared.imaging.deep_color import DecodedImage, decode_stored
from shared.imaging.display_p3 import convert
from shared.imaging.transparency import Alpha, fill_transparent, separate_alpha
from shared.presets import BETTER_WEIGHTS, adapted_to_weights
from shared.recipe import Recipe
from shared.storage import keys
from shared.tracing import annotate, span
from worker import metrics
from worker.job import checkpoint_format
from worker.job.checkpoint_format import BrokenCheckpointError, CheckpointState
from worker.job.checkpoints import CheckpointWriter
from worker.job.heartbeat import Heartbeat
from worker.job.session import JobSession
from worker.job.worker_state import WorkerState
from worker.protocols import Iterate

log = structlog.get_logger(__name__)

_CALIBRATED: Final = f"Rendered with filters that were learned on this machine. {BETTER_WEIGHTS}"


@dataclass(frozen=True)
class LoadedJob:
    """What the loop, the checkpoints and the result need to know."""

    recipe: Recipe  # in the job's color space, and adapted to the weights
    alpha: Alpha | None  # of the photo; None if it is opaque
    about: dict[str, Any]  # for the provenance: weights, environment, its fingerprint, and `bitwise` (see publish.py)
    resumed_at: Iterate | None  # of the checkpoint that the job resumes from; None: it starts with step 0
    handed_off: bool  # whether only a handoff note names that checkpoint
    iterates: Iterator[Iterate]  # that follow
    writer: CheckpointWriter  # of the next checkpoints


def load_job(session: JobSession, worker: WorkerState, heartbeat: Heartbeat) -> LoadedJob:
    """Load all that the job needs. Raises WeightsUnavailable, BlobMissing, BrokenImage, ClaimLost, Unavailable."""
    engine = worker.engine
    with span("load weights"), heartbeat.progress.loading_weights():
        weights = worker.weights(session.job.request.recipe, heartbeat.record_preparation)
    if weights["source"] == "calibrated" and session.job.claims == 1:
        session.publish_event("warning", code="calibrated_weights", detail=_CALIBRATED)
    with span("load inputs"):
        inputs = _load_inputs(session)
    recipe, resumed_at, bitwise = adapted_to_weights(inputs.recipe, weights["source"]), None, True
    with span("load checkpoint"):
        key, state = _find_checkpoint(session, weights["sha256"])
        if state:
            bitwise = bool(state.pop("bitwise")) and state.pop("fingerprint") == worker.fingerprint
            resumed_at = engine.restore_iterate(inputs.content, recipe, state, masks=inputs.masks)
            session.record(resumed_from_step=resumed_at.step)
            log.info("resumed", step=resumed_at.step, bitwise=bitwise)
        step = resumed_at.step if resumed_at else None
        annotate({"easel.job.step": step})
    metrics.record_start(session.job, step)
    machine = {"fingerprint": worker.fingerprint, "bitwise": bitwise}
    metadata = {**machine, "weights": weights["sha256"]}
    images: dict[str, Any] = {"init_image": inputs.init_image, "masks": inputs.masks}
    return LoadedJob(
        recipe=recipe,
        alpha=inputs.alpha,
        about={"weights": dict(weights), **machine, "environment": dict(engine.environment())},
        resumed_at=resumed_at,
        handed_off=key not in {None, session.job.checkpoint, session.job.previous_checkpoint},
        iterates=engine.stylize(inputs.content, inputs.styles, recipe, state, **images),
        writer=CheckpointWriter(session, resumed_from=key, metadata=metadata, color_space=recipe.rendered_space),
    )


@dataclass(frozen=True)
class _Inputs:
    """The images of a job as arrays: (H, W, 3) uint8 or uint16, styles with an alpha (H, W, 4), masks (H, W) uint8.

    All are in the color space of the recipe, which is the job's, or the content's if that is `auto`.
    """

    recipe: Recipe
    content: np.ndarray
    alpha: Alpha | None  # of the content
    styles: list[np.ndarray]
    init_image: np.ndarray | None
    masks: list[np.ndarray]


def _load_inputs(session: JobSession) -> _Inputs:
    def decode(sha256: str) -> DecodedImage:
        return decode_stored(session.read(keys.input_image(sha256)))

    def pixels(sha256: str) -> np.ndarray:
        return convert(*decode(sha256), recipe.rendered_space)

    request = session.job.request
    photo = decode(request.content)
    recipe = request.recipe.in_space(photo.color_space)
    content, alpha = separate_alpha(convert(*photo, recipe.rendered_space))
    return _Inputs(
        recipe=recipe,
        content=content,
        alpha=alpha,
        styles=[fill_transparent(pixels(sha256)) for sha256 in request.styles],
        init_image=separate_alpha(pixels(request.init_image))[0] if request.init_image else None,
        masks=[np.ascontiguousarray(separate_alpha(decode(mask).pixels)[0][..., 0]) for mask in request.content_masks],
    )


def _find_checkpoint(session: JobSession, weights_sha256: str) -> tuple[str, CheckpointState] | tuple[None, None]:
    """Return the key and the state of the newest checkpoint that can be used; None and None to start over."""
    job, handed_off = session.job, session.read_handoff_note()
    if keys.checkpoint_step(handed_off) <= keys.checkpoint_step(job.checkpoint):
        handed_off = None
    for key in filter(None, (handed_off, job.checkpoint, job.previous_checkpoint)):
        try:
            return key, _checkpoint(session.read(key), weights_sha256)
        except (BlobMissing, BrokenCheckpointError) as error:
            log.warning("checkpoint_unusable", key=key, detail=str(error))
            session.warn("checkpoint_unusable", str(error))
    return None, None


def _checkpoint(data: bytes, weights_sha256: str) -> CheckpointState:
    """Return the state in a checkpoint. Raises BrokenCheckpointError."""
    state = checkpoint_format.load(data)
    if state.pop("weights", None) != weights_sha256:
        raise BrokenCheckpointError("The checkpoint was made with other weights.")
    return state
