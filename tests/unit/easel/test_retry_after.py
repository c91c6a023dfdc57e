"""How long others ask us to wait."""

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easel.retry_after import seconds


def test_it_is_read_in_seconds_or_as_a_date() -> None:
    assert seconds("120") == 120
    assert 3500 < seconds(formatdate(time.time() + 3600, usegmt=True)) <= 3600
    assert [seconds(text) for text in ("", "soon", "-5", "1.5", formatdate(0, usegmt=True))] == [0] * 5


@given(st.text())
def test_any_text_is_some_number_of_seconds(text: str) -> None:
    assert 0 <= seconds(text) < float("inf")


@pytest.mark.parametrize(
    "text", ["9" * 400, "Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"]
)
def test_numbers_and_dates_that_no_clock_can_hold_are_numbers_too(text: str) -> None:
    assert 0 <= seconds(text) < float("inf")
