"""A plot of how near recipes come to the painting, against what of the photo they keep and what they cost."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from benchmarks.service.plots import INK, STYLE

_MARKERS: Final = "osD^vPX*"
_STYLE_DISTANCE: Final = ("style_distance", "style distance (less is better)")
_PANELS: Final = {
    "content_ssim": "structural similarity to the photo (more is better)",
    "cpu_seconds": "processor time in seconds (less is better)",
}


def draw(rows: Sequence[Mapping[str, Any]], recipes: Iterable[str], path: Path) -> None:
    """Write one point per recipe, the medians of its rows, with the quartiles as a light cross."""
    mpl.use("Agg")
    most = max(sum(row["recipe"] == recipe for row in rows) for recipe in recipes)
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(_PANELS), figsize=(10, 4.8), sharey=True, layout="constrained")
        for marker, color, recipe in zip(_MARKERS, mpl.color_sequences["tab10"], recipes, strict=False):
            mine = [row for row in rows if row["recipe"] == recipe]
            name = recipe if len(mine) == most else f"{recipe} (only {len(mine)} of {most} pairs)"
            for axes, measure in zip(panels, _PANELS, strict=True):
                (left, x, right), (low, y, high) = (_quartiles(mine, key) for key in (measure, _STYLE_DISTANCE[0]))
                axes.plot([left, right], [y, y], [x, x], [low, high], color=color, alpha=0.35)
                axes.plot(x, y, marker, color=color, markersize=9, label=name)
        for axes, label in zip(panels, _PANELS.values(), strict=True):
            axes.set(xlabel=label, yscale="log")
            axes.grid(visible=True, color=INK, alpha=0.25)
        panels[0].set_ylabel(_STYLE_DISTANCE[1])
        panels[1].set_xscale("log")
        for axis in (panels[0].yaxis, panels[1].xaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
        figure.savefig(path, dpi=110, transparent=True)
        plt.close(figure)


def _quartiles(rows: Iterable[Mapping[str, Any]], key: str) -> list[float]:
    quartiles: list[float] = np.quantile([row[key] for row in rows], (0.25, 0.5, 0.75)).tolist()
    return quartiles
