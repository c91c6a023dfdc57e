"""Settings from the environment."""

import traceback

import pytest

from shared.settings import InvalidSettings, Settings


def test_an_invalid_setting_is_reported_by_the_name_of_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_RETENTION_DAYS", "x")
    monkeypatch.setenv("EASEL_LOG_FORMAT", "xml")
    with pytest.raises(InvalidSettings) as caught:
        Settings()
    assert (
        str(caught.value) == "EASEL_RETENTION_DAYS must be a number; EASEL_LOG_FORMAT must be one of 'text' or 'json'."
    )


def test_the_value_of_a_secret_is_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_WEBHOOK_SECRET", "whsec_" + 3 * "abc")
    with pytest.raises(InvalidSettings) as caught:
        Settings()
    assert "abcabc" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("tiers", "default"),
    [(None, "standard"), ("batch,standard", "standard"), ("gold,silver", "gold"), ("batch", "batch")],
)
def test_a_job_without_a_tier_goes_to_standard_or_else_to_the_first_tier(
    tiers: str | None, default: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tiers:
        monkeypatch.setenv("EASEL_TIERS", tiers)
    assert Settings().default_tier == default


def test_there_is_at_least_one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_TIERS", ",")
    with pytest.raises(InvalidSettings, match="EASEL_TIERS must have at least 1"):
        Settings()
