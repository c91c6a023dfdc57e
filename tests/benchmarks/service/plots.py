"""Charts as PNG files that are readable on light and dark pages."""

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.service.results import Chart

INK: Final = "#7f8790"  # equally far from white and black
_COLORS: Final = ("#2f81f7", "#e3762b", "#2ea36a", "#b05cd6")
_PLAIN: Final = FuncFormatter(lambda value, _: f"{value:,.10g}")
STYLE: Final[dict[Any, Any]] = {
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(chart: Chart, folder: Path) -> Path:
    """Write `folder`/service-<name>.png."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"service-{chart.name}.png"
    mpl.use("Agg")
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
        _plot(axes, chart)
        _label(axes, chart)
        (_by_logarithms if chart.log_scale else _from_zero)(axes)
        figure.legend(loc="outside lower center", ncols=2 if len(chart.curves) > 2 else 3, frameon=False)
        figure.savefig(path, dpi=160, transparent=True)
        plt.close(figure)
    return path


def _plot(axes: Any, chart: Chart) -> None:
    for color, (name, curve) in zip(_COLORS, chart.curves.items(), strict=False):
        axes.plot(list(curve), list(curve.values()), marker="o", color=color, linewidth=2, label=name)
    if chart.bound:
        bound = chart.bound
        axes.plot(list(bound), list(bound.values()), color=INK, linestyle="--", label=f"target: {chart.target}")


def _label(axes: Any, chart: Chart) -> None:
    """Label the axes with plain numbers, at the measured amounts."""
    axes.set(xscale="log", title=chart.title, xlabel=chart.work, ylabel=chart.unit)
    axes.set_xticks(sorted({amount for curve in chart.curves.values() for amount in curve}))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(_PLAIN)
    axes.grid(visible=True, color=INK, alpha=0.25)


def _by_logarithms(axes: Any) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(_PLAIN)
    axes.yaxis.set_minor_locator(NullLocator())


def _from_zero(axes: Any) -> None:
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
