"""Opening Redis and the blob store by the settings."""

import traceback

import pytest

from shared.services import open_services
from shared.settings import InvalidSettings, Settings


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("REDIS_URL", value) for value in ("localhost:6379", "redis://:secret/@host:6379", "redis://h:99999")),
        *(("STORE_URL", value) for value in ("/srv/easel", "s3://", "gs://bucket", "file:")),
        ("S3_ENDPOINT", "localhost:9000"),
    ],
)
def test_a_url_that_cannot_be_used_is_reported_by_the_name_of_its_variable(
    setting: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EASEL_STORE_URL", "s3://bucket")
    monkeypatch.setenv(f"EASEL_{setting}", value)
    with pytest.raises(InvalidSettings, match=f"EASEL_{setting}") as caught:
        open_services(Settings())
    assert "secret" not in "".join(traceback.format_exception(caught.value))
