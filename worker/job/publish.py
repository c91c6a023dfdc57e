"""The images that a job is run for: saved iterations, and the result with its provenance.

Both functions raise ClaimLost, and Unavailable after a cancel or drain.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from shared.imaging.transparency import Alpha, encode_rendered_png
from shared.jobs.saved_iterations import SavedIterations
from shared.recipe import Recipe
from shared.storage import keys
from worker.job.session import JobSession
from worker.protocols import Iterate


def save_iteration(
    session: JobSession, iterate: Iterate, alpha: Alpha | None, recipe: Recipe, saved: SavedIterations
) -> SavedIterations:
    """Save the image as the result would be, with its photo's alpha, if the recipe asks for it; return all saved ones.

    Call it before a checkpoint of this step can exist: a claim that resumes there does not see the step again.
    """
    job, step = session.job, iterate.step
    if not recipe.saves(step):
        return saved
    png = encode_rendered_png(iterate.image, alpha, recipe)
    saved = saved.with_image(step, png)
    session.write(saved.key(job.id, step), png, "image/png")
    session.retry(session.renew, iterations=saved)
    return saved


def write_result(
    session: JobSession, iterate: Iterate, alpha: Alpha | None, recipe: Recipe, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Write the result, with the photo's alpha, and its provenance; return the record's fields that make them visible.

    The provenance is enough to render the result again on the same machine, byte for byte. `recipe` is the one that was
    rendered; `about` has the weights, the environment and its fingerprint, and `bitwise`: whether the bytes are those
    of an uninterrupted run on this machine. Result files have a part of it (api/imaging/metadata.py).
    """
    job, request = session.job, session.job.request
    png = encode_rendered_png(iterate.image, alpha, recipe)
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
        **about,
    }
    key = keys.result(job.id, session.token)
    session.write(keys.provenance(key), json.dumps(provenance, indent=2).encode(), "application/json")
    session.write(key, png, "image/png")
    return {"result": key, "stopped_early": iterate.step < request.recipe.total_steps, "stopped_at_step": iterate.step}
