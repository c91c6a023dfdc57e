"""What the benchmarks of the service make of their readings."""

from pathlib import Path

import pytest
from benchmarks.__main__ import within
from benchmarks.service.estimates import Told, finding
from benchmarks.service.finding import Chart, table
from benchmarks.service.load_client import percentile
from benchmarks.service.plots import draw
from benchmarks.service.scaling import _means
from PIL import Image
from rich.console import Console

CHART = Chart("a", "a title", "jobs", "ms", {"one": {1: 2.0, 10: 3456.7}}, target="under 9", bound={1: 9.0, 10: 9.0})


def test_a_percentile_is_what_so_many_readings_do_not_exceed() -> None:
    readings = [float(number) for number in range(101)]
    assert (percentile(readings, 50), percentile(readings, 99)) == (50, 99)
    assert percentile([3.0], 99) == 3


def test_a_round_takes_from_each_claim_to_the_one_that_comes_as_many_claims_later_as_there_are_workers() -> None:
    first, second, third = [0.0, 4.0, 8.0], [10.0, 14.0, 18.0], [21.0, 25.0, 29.0]
    assert _means([*first, *second, *third], 3) == pytest.approx([10, 11])
    assert _means([0.0, 10.0, 30.0], 1) == [10, 20]


def test_an_estimate_is_judged_at_each_moment_and_over_all_of_them() -> None:
    sure, late = Told(p50=10, p90=20, came=8), Told(p50=10, p90=20, came=40)
    found = finding({"submitted": [sure, sure, sure, late], "started": [sure, late, late, late]})
    coverage = found.figures["eta_p90_coverage"]
    assert (coverage.median, coverage.low, coverage.high) == (0.5, 0.25, 0.75)
    assert found.figures["eta_p50_error"].low == pytest.approx(0.25)
    assert found.charts[0].curves["when submitted"] == {50: 75, 90: 75}


def test_a_target_with_two_bounds_is_missed_on_either_side() -> None:
    assert [within(value, (0.85, 0.95)) for value in (0.8, 0.85, 0.9, 0.95, 0.99)] == [False, True, True, True, False]


def test_the_table_has_every_curve_with_its_target() -> None:
    console = Console(record=True, width=100)
    console.print(table([CHART]))
    text = console.export_text()
    for told in ("a title", "one, ms", "3,457", "under 9", "jobs"):
        assert told in text


@pytest.mark.parametrize("steep", [True, False])
def test_a_chart_is_drawn_on_a_background_that_shows_through(*, steep: bool, tmp_path: Path) -> None:
    chart = Chart("a", "a title", "jobs", "ms", CHART.curves, steep=steep, target="under 9", bound=CHART.bound)
    with Image.open(draw(chart, tmp_path)) as picture:
        assert picture.convert("RGBA").getpixel((0, 0))[3] == 0
