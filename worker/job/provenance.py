"""The provenance of a result: enough to render it again on the same machine, byte for byte."""

import hashlib
from collections.abc import Mapping
from typing import Any

from shared.jobs.job import Job
from shared.recipe import Recipe


def fingerprint(environment: Mapping[str, Any]) -> str:
    """Return a short hash of all that the bytes depend on apart from inputs, recipe and weights.

    Two machines with equal fingerprints render equal bytes.
    """
    return hashlib.sha256(repr(sorted(environment.items())).encode()).hexdigest()[:16]


def provenance(
    job: Job,
    *,
    step: int,
    png: bytes,
    recipe: Recipe,
    weights: Mapping[str, str],
    environment: Mapping[str, Any],
    bitwise: bool,
) -> dict[str, Any]:
    """Return the document about a result; `recipe` is the one that was rendered.

    Result files have a part of it (api/imaging/metadata.py).

    `bitwise` says whether the bytes are those of an uninterrupted run on this machine.
    """
    return {
        "job": job.id,
        "result_sha256": hashlib.sha256(png).hexdigest(),
        "content_sha256": job.request.content,
        "style_sha256": list(job.request.styles),
        "init_image_sha256": job.request.init_image,
        "content_mask_sha256": list(job.request.content_masks),
        "recipe": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "steps": step,
        "weights": dict(weights),
        "claims": job.claims,
        "resumed_from_step": job.resumed_from_step,
        "fingerprint": fingerprint(environment),
        "bitwise": bitwise,
        "environment": dict(environment),
    }
