"""The client's half of `make demo`: one real job, from the photo to the picture, through the HTTP API."""

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from easel import ApiError, Easel, JobState
from easel import Recipe as ClientRecipe
from easel.terminal.tables import ending
from easel.terminal.watch import watch

console = Console(stderr=True, highlight=False)
_SOURCES: Final = {
    "path": "VGG19 from a weights file",
    "imagenet": "VGG19 trained on ImageNet, as Keras publishes it",
    "calibrated": "VGG19 with filters learned on this machine",
}


def run_demo(url: str, content: Path, style: Path, out: Path, recipe: ClientRecipe = "default") -> None:
    """Submit, show the progress, write `out` (a PNG) and beside it `out`.json, how it came about.

    Raises RuntimeError where the job does not succeed, OSError where a file cannot be read or written.
    """
    try:
        with Easel(url) as easel:
            about = _paint(easel, content, style, out, recipe)
    except ApiError as error:
        raise RuntimeError(str(error)) from error
    provenance = out.with_suffix(".json")
    provenance.write_text(json.dumps(about, indent=2) + "\n")
    weights = about["weights"]
    source = _SOURCES.get(weights["source"], weights["source"])
    console.print(f"Weights: {source} (sha256 {weights['sha256'][:16]}…)", markup=False, soft_wrap=True)
    console.print(f"The picture is in {out}, how it came about in {provenance}", markup=False, soft_wrap=True)


def _paint(easel: Easel, content: Path, style: Path, out: Path, recipe: ClientRecipe) -> dict[str, Any]:
    """Write the picture; its provenance."""
    job = easel.submit(content, style, recipe)
    console.print(f"Submitted job {job.id}", markup=False)
    watch([job], console)
    if job.state != JobState.SUCCEEDED:
        raise RuntimeError(ending(job.view))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(job.result())
    return job.provenance()
