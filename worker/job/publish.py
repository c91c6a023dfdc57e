"""The images that a job is run for: saved iterations, and the result with its provenance.

Both functions raise ClaimLost, and Unavailable after a cancel or drain.
"""

import hashlib
import json

from shared.imaging.transparency import encode_rendered_png
from shared.storage import keys
from worker.job.load import LoadedJob
from worker.job.session import JobSession
from worker.protocols import Iterate


def save_iteration(session: JobSession, loaded: LoadedJob, iterate: Iterate) -> None:
    """Save the image as the result would be, with its photo's alpha, if the recipe asks for it.

    Call it before a checkpoint of this step can exist: a claim that resumes there does not see the step again.
    """
    job, step = session.job, iterate.step
    if loaded.recipe.saves(step):
        png = encode_rendered_png(iterate.image, loaded.alpha, loaded.recipe)
        iterations = job.iterations.with_image(step, png)
        session.write(iterations.key(job.id, step), png, "image/png")
        session.record(iterations=iterations)


def write_result(session: JobSession, loaded: LoadedJob, iterate: Iterate) -> str:
    """Write the result, with the photo's alpha, and its provenance; return its key, which makes both visible.

    The provenance is enough to render the result again on the same machine, byte for byte, if `bitwise` is true: the
    bytes are those of an uninterrupted run on this machine. Result files have a part of it (api/imaging/metadata.py).
    """
    job, request, recipe = session.job, session.job.request, loaded.recipe
    png = encode_rendered_png(iterate.image, loaded.alpha, recipe)
    provenance = {
        "job": job.id,
        "result_sha256": hashlib.sha256(png).hexdigest(),
        "content_sha256": request.content,
        "style_sha256": list(request.styles),
        "init_image_sha256": request.init_image,
        "content_mask_sha256": list(request.content_masks),
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "steps": iterate.step,
        "claims": job.claims,
        "resumed_from_step": job.resumed_from_step,
        **loaded.about,
    }
    key = keys.result(job.id, session.token)
    session.write(keys.provenance(key), json.dumps(provenance, indent=2).encode(), "application/json")
    session.write(key, png, "image/png")
    return key
