"""Lists of jobs over HTTP: filters, cursors and bad queries."""

import json
from datetime import datetime, timedelta
from urllib.parse import urlencode

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import Submit, claim

from shared.services import Services


def listed(client: FlaskClient, **query: object) -> list[str]:
    """Return the IDs of the first page."""
    response = client.get(f"/v1/jobs?{urlencode(query)}")
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.get_json()["jobs"]]


def test_lists_can_be_filtered_by_metadata_preset_and_state(
    submit: Submit, client: FlaskClient, services: Services
) -> None:
    first = submit(metadata='{"order": "1", "ü [x]": "a&b"}').get_json()["id"]
    second = submit(metadata='{"order": "1"}', recipe='{"preset": "gentle", "size": 96}').get_json()["id"]
    submit(metadata='{"order": "2"}')
    claim(services)
    assert listed(client, **{"metadata[order]": "1"}) == [second, first]
    assert listed(client, **{"metadata[order]": "1", "metadata[ü [x]]": "a&b"}) == [first]
    assert listed(client, **{"metadata[order]": "1", "preset": "gentle"}) == [second]
    assert listed(client, **{"metadata[order]": "1", "state": "running"}) == [first]
    assert listed(client, preset="tutorial") == []


def test_the_created_at_of_two_jobs_selects_all_from_the_first_to_before_the_second(
    submit: Submit, client: FlaskClient
) -> None:
    jobs = [submit().get_json() for _ in range(4)]
    ids, times = [job["id"] for job in jobs], [job["created_at"] for job in jobs]
    assert listed(client, created_after=times[1]) == ids[:0:-1]
    assert listed(client, created_before=times[1]) == [ids[0]]
    zone = (datetime.fromisoformat(times[1]) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S.%f+02:00")
    assert listed(client, created_after=zone, created_before=times[3]) == [ids[2], ids[1]]


def test_a_cursor_belongs_to_its_filters_in_any_order(submit: Submit, client: FlaskClient) -> None:
    ids = [submit(metadata='{"a": "1", "b": "2"}').get_json()["id"] for _ in range(3)]
    cursor = client.get("/v1/jobs?metadata[a]=1&metadata[b]=2&limit=1").get_json()["next_cursor"]
    rest = {"metadata[b]": "2", "metadata[a]": "1", "cursor": cursor}
    assert listed(client, **rest, limit=2) == ids[1::-1]
    for other in ("metadata[a]=1", "metadata[a]=2&metadata[b]=2", "metadata[a]=1&metadata[b]=2&preset=fast", ""):
        response = client.get(f"/v1/jobs?{other}&cursor={cursor}")
        assert (response.status_code, response.get_json()["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"created_after={wrong}", "created_after") for wrong in ("2026", "2026-11-28", "2026-11-28T12:00", "T", "")),
        ("created_before=2026-11-28T12:00:00+01:00", "created_before"),  # + is a space
        ("metadata=order", "metadata"),
        ("metadata[order", "metadata[order"),
        ("preset[a]=fast", "preset"),
        ("other[a]=b", "other"),
        (f"metadata[{'k' * 41}]=1", f"metadata.{'k' * 41}.[key]"),
        ("metadata=a&metadata[a]=b", "metadata[a]"),
    ],
)
def test_an_invalid_filter_is_refused_and_named(client: FlaskClient, query: str, field: str) -> None:
    response = client.get(f"/v1/jobs?{query}")
    assert (response.status_code, response.get_json()["code"]) == (400, "malformed_request")
    assert field in json.dumps([error["field"] for error in response.get_json()["errors"]])
