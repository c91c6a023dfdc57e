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


@pytest.mark.parametrize("value", ["inf", "nan"])
def test_a_number_is_finite(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_LEASE_SECONDS", value)
    with pytest.raises(InvalidSettings, match="EASEL_LEASE_SECONDS must be a finite number"):
        Settings()


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


@pytest.mark.parametrize(
    ("value", "url"),
    [
        ("https://easel.example", "https://easel.example/v1"),
        ("http://10.0.0.7:8080/", "http://10.0.0.7:8080/v1"),
        ("https://example.com/easel/", "https://example.com/easel/v1"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443/v1"),
        ("", "/v1"),
    ],
)
def test_the_public_url_is_put_in_front_of_paths(value: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_PUBLIC_URL", value)
    assert Settings().absolute_url("/v1") == url
    assert Settings(public_url=None).absolute_url("/v1") == "/v1"


@pytest.mark.parametrize(
    "value",
    [
        *(
            "easel.example",
            "ftp://easel.example",
            "https://",
            "https:///path",
            "//easel.example",
            "javascript:alert(1)",
        ),
        *("https://easel.example?a=b", "https://easel.example#a", "https://user:secret@easel.example"),
        *("https://easel.example:x", "https://easel.example:99999", "https://[::1", "https://easel.example/\nX: y"),
    ],
)
def test_a_public_url_that_is_not_one_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EASEL_PUBLIC_URL", value)
    with pytest.raises(InvalidSettings, match="EASEL_PUBLIC_URL must be http"):
        Settings()
