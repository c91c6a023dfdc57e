"""Files in parts, and only if they changed (RFC 9110, sections 13 and 14)."""

import pytest
from flask.testing import FlaskClient
from support.fixtures.api import RESULT, claim, succeed
from werkzeug.test import TestResponse

from shared.services import Services

SIZE = len(RESULT)


@pytest.fixture
def url(job_id: str, services: Services) -> str:
    """Return the URL of a result, as it is stored."""
    succeed(services, claim(services))
    return f"/v1/jobs/{job_id}/result?metadata=false"


def fetch(client: FlaskClient, url: str, part: str, **headers: str) -> TestResponse:
    return client.get(url, headers={"Range": part, **headers})


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=5-9", 5, 9),
        ("Bytes=5-9", 5, 9),
        ("bytes=5-", 5, SIZE - 1),
        ("bytes=-7", SIZE - 7, SIZE - 1),
        ("bytes=-999999999", 0, SIZE - 1),
        (f"bytes=10-{10**25}", 10, SIZE - 1),
    ],
)
def test_a_range_is_returned(client: FlaskClient, url: str, part: str, first: int, last: int) -> None:
    response = fetch(client, url, part)
    assert (response.status_code, response.data) == (206, RESULT[first : last + 1])
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert response.headers["Content-Length"] == str(last + 1 - first)
    assert response.headers["ETag"] == client.get(url).headers["ETag"]


@pytest.mark.parametrize("part", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_after_the_end_is_refused_with_the_size(client: FlaskClient, url: str, part: str) -> None:
    response = fetch(client, url, part)
    assert (response.status_code, response.get_json()["code"]) == (416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("part", ["bytes=0-1,3-4", "bytes=9-5", "bytes=x-", "bytes=-", "lines=1-2", "bytes", ""])
def test_several_ranges_other_units_and_broken_ranges_return_the_whole_file(
    client: FlaskClient, url: str, part: str
) -> None:
    response = fetch(client, url, part)
    assert (response.status_code, response.data) == (200, RESULT)
    assert response.headers["Accept-Ranges"] == "bytes"


def test_a_download_is_resumed_only_if_the_file_is_the_same(client: FlaskClient, url: str) -> None:
    tag = client.get(url).headers["ETag"]
    assert fetch(client, url, "bytes=9-", **{"If-Range": tag}).data == RESULT[9:]
    for other in ('"another"', f"W/{tag}", "Sat, 28 Nov 2026 16:00:00 GMT"):
        assert fetch(client, url, "bytes=9-", **{"If-Range": other}).data == RESULT
    assert fetch(client, url, "bytes=9-", **{"If-None-Match": tag}).status_code == 304


def test_head_describes_the_whole_file(client: FlaskClient, url: str) -> None:
    response = client.head(url, headers={"Range": "bytes=5-9"})
    assert (response.status_code, response.data, response.headers["Content-Length"]) == (200, b"", str(SIZE))
    assert response.headers["ETag"] == client.get(url).headers["ETag"]


def test_a_file_other_than_the_one_that_if_match_names_is_refused(client: FlaskClient, url: str) -> None:
    tag = client.get(url).headers["ETag"]
    for same in (tag, f'"another", {tag}', "*"):
        assert client.get(url, headers={"If-Match": same}).data == RESULT
    assert fetch(client, url, "bytes=9-", **{"If-Match": "*"}).data == RESULT[9:]
    response = client.get(url, headers={"If-Match": '"another"'})
    assert (response.status_code, response.get_json()["code"]) == (412, "precondition_failed")


@pytest.mark.parametrize("part", ["content", "content?longest=64", "styles/0", "result?format=webp", "provenance"])
def test_every_file_can_be_read_in_parts(client: FlaskClient, url: str, part: str) -> None:
    path = url.replace("result?metadata=false", part)
    whole = client.get(path).data
    parts = [fetch(client, path, f"bytes={start}-{start + 199}") for start in range(0, len(whole), 200)]
    assert {response.status_code for response in parts} == {206}
    assert b"".join(response.data for response in parts) == whole
