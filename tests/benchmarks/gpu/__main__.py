"""`python -m benchmarks.gpu [--quick] [--only NAMES] [--variants NAMES] [--widths PIXELS]`; ends with one JSON line.

With PYTHONPATH=tests. About 8 minutes on a current data centre GPU. Without a GPU it runs too, which only shows that it
works: choose small widths then.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from benchmarks.attempts import Attempts
from benchmarks.engine.scene import Scene, best_weights
from benchmarks.gpu.default_job import default_job
from benchmarks.gpu.lbfgs_update import lbfgs_update
from benchmarks.gpu.report import Row, Rows, Variant, rows_table, variants_table
from benchmarks.gpu.rounds import FULL, QUICK, Rounds
from benchmarks.gpu.short_run import memory_and_bytes
from benchmarks.gpu.stage_start import stage_start
from benchmarks.gpu.step_adam import step_adam
from benchmarks.gpu.variant import WAYS
from benchmarks.gpu.variants import measure_variants
from worker.device import environment

console = Console(stderr=True, width=None if sys.stderr.isatty() else 160)

_WIDTHS: Final = "512,1024,2048"
_LARGEST_OF_FEW: Final = 1024  # pixels: beyond, only whole steps, jobs and memory are measured
_TOLD: Final = ("gpu_driver", "tensorflow", "cuda", "cudnn")
Measure = Callable[[], Rows]


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Fewer rounds, fewer sizes.")] = False,
    only: Annotated[str, typer.Option(help="Rows or groups of rows, such as step_adam,variants_512.")] = "",
    variants: Annotated[str, typer.Option(help="Which ones.")] = ",".join(WAYS),
    widths: Annotated[str, typer.Option(help="In pixels; heights are three quarters.")] = _WIDTHS,
    out: Annotated[Path, typer.Option(help="Where the JSON line goes, too.")] = Path("out/gpu.json"),
) -> None:
    """Measure the engine on a GPU, beside what people would run there instead."""
    began, attempts, about = time.monotonic(), Attempts(console), environment()
    on_gpu = bool(about["gpus"])
    title = _title(about)
    console.print(title)
    names = list(_ways(variants, on_gpu=on_gpu))
    scenes = [Scene(width, weights) for weights in [best_weights()] for width in map(int, widths.split(","))]
    rounds, rows, found = QUICK if quick else FULL, list[Row](), dict[int, dict[str, Variant]]()
    with console.status("starting") as status:
        for name, measure in _parts(scenes, rounds, on_gpu=on_gpu, quick=quick):
            if _chosen(name, only):
                status.update(name)
                rows += attempts(name, measure) or []
        for scene in _few(scenes):
            if _chosen(name := f"variants_{scene.width}", only):
                status.update(name)
                measure_them = partial(measure_variants, scene, names, rounds, attempts)
                found[scene.width] = attempts(name, measure_them) or {}
    line = json.dumps(
        {
            "gpu": on_gpu,
            "machine": dict(about),
            "quick": quick,
            "seconds": round(time.monotonic() - began),
            "rows": {row.name: row.json(judged=on_gpu) for row in rows},
            "variants": {
                width: {name: one.json() for name, one in by_name.items()} for width, by_name in found.items()
            },
        }
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(line + "\n")
    console.print(rows_table(rows, title, judged=on_gpu))
    console.print(variants_table(found, "An evaluation, by variants"))
    print(line)  # noqa: T201 - for scripts
    raise typer.Exit(attempts.failed)


def _parts(scenes: list[Scene], rounds: Rounds, *, on_gpu: bool, quick: bool) -> Iterator[tuple[str, Measure]]:
    for scene in scenes:
        device = "cuda" if on_gpu else "cpu"
        yield f"step_adam_{scene.width}", partial(step_adam, scene, rounds, _note, device=device)
    for scene in _few(scenes):
        yield f"lbfgs_update_{scene.width}", partial(lbfgs_update, scene, rounds)
        yield f"stage_start_{scene.width}", partial(stage_start, scene, 2 if quick else 4)
    for scene in scenes:
        yield f"memory_{scene.width}", partial(memory_and_bytes, scene)
    for scene in scenes:
        yield f"default_{scene.width}", partial(default_job, scene, 1 if quick else 2)


def _ways(names: str, *, on_gpu: bool) -> Iterator[str]:
    """Those that can be tried here. Raises BadParameter where there is none of that name."""
    for name in names.split(","):
        if name not in WAYS:
            raise typer.BadParameter(f"There is no variant {name}; there are {', '.join(WAYS)}.")
        if on_gpu or not WAYS[name].needs_gpu:
            yield name
        else:
            _note(f"{name}: not measured, it needs a GPU")


def _few(scenes: list[Scene]) -> list[Scene]:
    return [scene for scene in scenes if scene.width <= _LARGEST_OF_FEW]


def _chosen(name: str, only: str) -> bool:
    return not only or any(name.startswith(chosen) for chosen in only.split(","))


def _title(about: Any) -> str:
    devices = ", ".join(about["gpus"]) or "no GPU, so nothing here counts"
    return ", ".join([devices, *(f"{name} {about[name]}" for name in _TOLD if name in about)])


def _note(line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
