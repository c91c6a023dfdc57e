"""The client in `make demo`: one real job through the HTTP API."""

import json
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from easel import ApiError, Easel, JobState, RecipeInput
from easel.terminal.tables import describe_outcome
from easel.terminal.watch import watch
from shared.presets import BETTER_WEIGHTS

console = Console(stderr=True, highlight=False)
_SOURCES: Final = {
    "path": "VGG19 from a weights file",
    "imagenet": "VGG19 trained on ImageNet, as Keras publishes it",
    "calibrated": "VGG19 with filters learned on this machine",
}


def run_demo(url: str, content: Path, style: Path, out: Path, recipe: RecipeInput = "default") -> None:
    """Submit a job, show its progress, write the result to `out` (a PNG) and its provenance next to it (JSON).

    Raises RuntimeError if the job does not succeed, OSError if a file cannot be read or written.
    """
    try:
        with Easel(url) as easel:
            provenance = _render(easel, content, style, out, recipe)
    except ApiError as error:
        raise RuntimeError(str(error)) from error
    provenance_file = out.with_suffix(".json")
    provenance_file.write_text(json.dumps(provenance, indent=2) + "\n")
    weights = provenance["weights"]
    source = _SOURCES.get(weights["source"], weights["source"])
    console.print(f"Weights: {source} (sha256 {weights['sha256'][:16]}…)", markup=False, soft_wrap=True)
    if weights["source"] == "calibrated":
        console.print(BETTER_WEIGHTS, markup=False, soft_wrap=True)
    console.print(f"Result: {out}; provenance: {provenance_file}", markup=False, soft_wrap=True)


def _render(easel: Easel, content: Path, style: Path, out: Path, recipe: RecipeInput) -> dict[str, Any]:
    """Write the result and return its provenance."""
    job = easel.submit(content, style, recipe)
    console.print(f"Submitted job {job.id}", markup=False)
    watch([job], console)
    if job.state != JobState.SUCCEEDED:
        raise RuntimeError(describe_outcome(job.status))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(job.result())
    return job.provenance()
