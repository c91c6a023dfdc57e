"""How the benchmarks of the service compute, print and draw their figures."""

from pathlib import Path

import pytest
from benchmarks.__main__ import within
from benchmarks.service.estimates import Estimate, summarize
from benchmarks.service.plots import draw
from benchmarks.service.results import Chart, table
from benchmarks.service.scaling import round_times
from benchmarks.service.support.load_client import percentile
from PIL import Image
from rich.console import Console

CHART = Chart("a", "a title", "jobs", "ms", {"one": {1: 2.0, 10: 3456.7}}, target="under 9", bound={1: 9.0, 10: 9.0})


def test_percentile_returns_the_nearest_reading() -> None:
    readings = [float(number) for number in range(101)]
    assert (percentile(readings, 50), percentile(readings, 99)) == (50, 99)
    assert percentile([3.0], 99) == 3


def test_round_time_with_n_workers_is_the_time_to_the_nth_next_claim() -> None:
    first, second, third = [0.0, 4.0, 8.0], [10.0, 14.0, 18.0], [21.0, 25.0, 29.0]
    assert round_times([*first, *second, *third], 3) == pytest.approx([10, 11])
    assert round_times([0.0, 10.0, 30.0], 1) == [10, 20]


def test_estimates_are_summarized_for_each_stage_and_over_all_stages() -> None:
    early, late = Estimate(p50=10, p90=20, actual=8), Estimate(p50=10, p90=20, actual=40)
    measurement = summarize({"submitted": [early, early, early, late], "started": [early, late, late, late]})
    coverage = measurement.figures["eta_p90_coverage"]
    assert (coverage.median, coverage.low, coverage.high) == (0.5, 0.25, 0.75)
    assert measurement.figures["eta_p50_error"].low == pytest.approx(0.25)
    assert measurement.charts[0].curves["when submitted"] == {50: 75, 90: 75}


def test_a_target_with_two_bounds_can_be_missed_on_either_side() -> None:
    assert [within(value, (0.85, 0.95)) for value in (0.8, 0.85, 0.9, 0.95, 0.99)] == [False, True, True, True, False]


def test_the_table_shows_every_curve_with_its_target() -> None:
    console = Console(record=True, width=100)
    console.print(table([CHART]))
    text = console.export_text()
    for expected in ("a title", "one, ms", "3,457", "under 9", "jobs"):
        assert expected in text


@pytest.mark.parametrize("log_scale", [True, False])
def test_a_chart_has_a_transparent_background(*, log_scale: bool, tmp_path: Path) -> None:
    chart = Chart("a", "a title", "jobs", "ms", CHART.curves, log_scale=log_scale, target="under 9", bound=CHART.bound)
    with Image.open(draw(chart, tmp_path)) as image:
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0
