"""Links to results that need no key."""

import io
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from pydantic import SecretStr
from support.fixtures.api import RESULT, add_preview, claim, submit_job, succeed
from support.fixtures.tenants import MakeClient, client_of
from werkzeug.test import TestResponse

from api.app import create_app
from api.http import share_links
from shared.services import Services
from shared.settings import Settings
from shared.tenants.keys import StoredKey, revoke_key

DAY = 24 * 3600


@pytest.fixture
def owner_and_key(make_client: MakeClient) -> tuple[FlaskClient, StoredKey]:
    return make_client("acme")


@pytest.fixture
def owner(owner_and_key: tuple[FlaskClient, StoredKey]) -> FlaskClient:
    return owner_and_key[0]


@pytest.fixture
def visitor(uncached_app: Flask) -> FlaskClient:
    """Return a client without a key, on another machine."""
    client = uncached_app.test_client()
    client.environ_base["REMOTE_ADDR"] = "203.0.113.7"
    return client


def finished_job(client: FlaskClient, services: Services) -> str:
    """Return the ID of a job with a result and a preview."""
    job_id = str(submit_job(client, metadata='{"title": "For my aunt"}').get_json()["id"])
    claimed = claim(services)
    add_preview(services, claimed, 1)
    succeed(services, claimed)
    return job_id


@pytest.fixture
def job(owner: FlaskClient, services: Services) -> str:
    return finished_job(owner, services)


def share(client: FlaskClient, job_id: str, **wanted: Any) -> dict[str, Any]:
    response = client.post(f"/v1/jobs/{job_id}/share", **({"json": wanted} if wanted else {}))
    assert response.status_code == 201, response.text
    return dict(response.get_json())


def changed(url: str, **parameters: Any) -> str:
    """Return the link with other parameters; None leaves one out."""
    parts = urlsplit(url)
    query = {**dict(parse_qsl(parts.query)), **parameters}
    kept = {name: value for name, value in query.items() if value is not None}
    return f"{parts.path}?{urlencode(kept)}"


def refusal(response: TestResponse) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    return response.status_code, str(response.get_json()["code"])


def test_anyone_with_the_link_sees_the_result_and_its_preview(
    owner: FlaskClient, visitor: FlaskClient, job: str
) -> None:
    link = share(owner, job)
    assert visitor.get(f"/v1/jobs/{job}/result").status_code == 401
    result, preview = visitor.get(link["url"]), visitor.get(link["preview_url"])
    assert (result.status_code, result.data, result.mimetype) == (200, RESULT, "image/png")
    assert (preview.status_code, preview.mimetype) == (200, "image/jpeg")
    assert result.headers["Content-Disposition"] == f'inline; filename="easel-{job}.png"'
    assert preview.headers["Content-Disposition"] == f'inline; filename="easel-{job}-preview.jpeg"'
    for response in (result, preview):
        assert response.headers["X-Robots-Tag"] == "noindex"
        assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
        assert "acme" not in str(response.headers)
    assert visitor.get(link["url"], headers={"If-None-Match": result.headers["ETag"]}).status_code == 304


def test_a_link_ends_after_a_day_unless_another_time_is_wanted(
    owner: FlaskClient, visitor: FlaskClient, job: str
) -> None:
    for wanted, seconds in (({}, DAY), ({"expires_in": 60}, 60), ({"expires_in": 7 * DAY}, 7 * DAY)):
        before = int(time.time())
        link = share(owner, job, **wanted)
        expires = int(dict(parse_qsl(urlsplit(link["url"]).query))["expires"])
        assert before + seconds <= expires <= time.time() + seconds
        kind, _, max_age = visitor.get(link["url"]).headers["Cache-Control"].partition(", max-age=")
        assert kind == "private"
        assert 0 < int(max_age) <= seconds


@pytest.mark.parametrize(
    "body", [{"expires_in": 59}, {"expires_in": 7 * DAY + 1}, {"expires_in": "x"}, {"format": "gif"}, {"other": 1}]
)
def test_a_time_out_of_range_or_an_unknown_format_is_refused(owner: FlaskClient, job: str, body: Any) -> None:
    assert refusal(owner.post(f"/v1/jobs/{job}/share", json=body)) == (400, "malformed_request")


def test_an_expired_link_is_gone(
    owner: FlaskClient, visitor: FlaskClient, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = share(owner, job, expires_in=60)["url"]
    assert visitor.get(url).status_code == 200
    now = time.time()
    monkeypatch.setattr(share_links.time, "time", lambda: now + 61)
    assert refusal(visitor.get(url)) == (410, "share_link_expired")


def test_a_link_that_was_changed_is_the_same_404_as_any_other(
    owner: FlaskClient, visitor: FlaskClient, job: str, services: Services
) -> None:
    link, other = share(owner, job), finished_job(owner, services)
    expires = dict(parse_qsl(urlsplit(link["url"]).query))["expires"]
    wrong = [
        changed(link["url"], expires=int(expires) + 1),
        changed(link["url"], signature=None),
        changed(link["url"], signature=""),
        changed(link["url"], signature="A" * 43),
        changed(link["url"], signature="schön"),
        changed(link["url"], key=None),
        changed(link["url"], key="abcd1234"),
        changed(link["url"], key="../keys/x"),
        changed(link["url"], expires=0),
        link["url"].replace(job, other),
        link["url"].replace("result.png", "result.jpeg"),
        link["url"].replace("result.png", "preview.jpeg"),
        link["url"].replace("result.png", "content"),
        f"/v1/shared/{job}/result.png",
    ]
    bodies = set()
    for url in wrong:
        response = visitor.get(url)
        assert refusal(response) == (404, "share_link_invalid"), url
        bodies.add(response.get_json()["detail"])
    assert len(bodies) == 1


def test_what_others_append_to_a_link_does_no_harm(owner: FlaskClient, visitor: FlaskClient, job: str) -> None:
    assert visitor.get(share(owner, job)["url"] + "&fbclid=x").status_code == 200


def test_a_link_gives_the_format_that_was_asked_for_without_metadata(
    owner: FlaskClient, visitor: FlaskClient, job: str
) -> None:
    for form in ("jpeg", "webp", "tiff"):
        response = visitor.get(share(owner, job, format=form)["url"])
        picture = Image.open(io.BytesIO(response.data))
        assert (response.mimetype, picture.format) == (f"image/{form}", form.upper())
        assert "xmp" not in picture.info


def test_a_link_ends_when_its_job_is_deleted(owner: FlaskClient, visitor: FlaskClient, job: str) -> None:
    url = share(owner, job)["url"]
    owner.delete(f"/v1/jobs/{job}")
    assert refusal(visitor.get(url)) == (404, "share_link_invalid")


def test_a_link_ends_when_its_key_is_revoked(
    owner_and_key: tuple[FlaskClient, StoredKey], visitor: FlaskClient, job: str, services: Services
) -> None:
    client, key = owner_and_key
    url = share(client, job)["url"]
    revoke_key(services.blobs, key.prefix)
    assert refusal(visitor.get(url)) == (404, "share_link_invalid")


def test_a_link_ends_when_the_signing_secret_is_rotated(
    owner: FlaskClient, visitor: FlaskClient, job: str, services: Services
) -> None:
    url = share(owner, job)["url"]
    services.signing_secret.rotate()
    assert refusal(visitor.get(url)) == (404, "share_link_invalid")
    assert visitor.get(share(owner, job)["url"]).status_code == 200


def test_a_link_signed_with_another_tenants_key_is_refused(
    make_client: MakeClient, visitor: FlaskClient, job: str, uncached_app: Flask, services: Services
) -> None:
    """A stranger cannot make one: this signs with the stranger's key as the service would."""
    _, key = make_client("other")
    signer = uncached_app.extensions["easel"].callers.find_by_prefix(key.prefix)
    parameters: share_links.Parameters = {"expires": int(time.time()) + DAY, "key": key.prefix}
    secret = services.signing_secret.get()
    parameters["signature"] = share_links._signature(job, "result.png", parameters, signer, secret)
    assert refusal(visitor.get(f"/v1/shared/{job}/result.png?{urlencode(parameters)}")) == (404, "share_link_invalid")


def test_a_key_of_the_settings_signs_links_that_end_with_it(settings: Settings, services: Services) -> None:
    def app_with(*keys: str) -> Flask:
        return create_app(settings.model_copy(update={"api_keys": tuple(map(SecretStr, keys))}), services)

    client = client_of(app_with("first", "second"), "second")
    link = share(client, finished_job(client, services))
    assert "key=" not in link["url"]
    for keys, status in ((("second",), 200), (("first",), 404)):
        assert app_with(*keys).test_client().get(link["url"]).status_code == status


def test_without_keys_a_link_works_on_this_machine(
    client: FlaskClient, services: Services, make_client: MakeClient, visitor: FlaskClient
) -> None:
    link = share(client, finished_job(client, services))
    assert client.get(link["url"]).status_code == 200
    assert refusal(visitor.get(link["url"])) == (403, "forbidden")
    make_client()
    assert visitor.get("/v1/jobs").status_code == 401
    assert refusal(visitor.get(link["url"])) == (404, "share_link_invalid"), "the first key ends access without one"


def test_a_job_without_a_result_cannot_be_shared(owner: FlaskClient) -> None:
    job_id = submit_job(owner).get_json()["id"]
    assert refusal(owner.post(f"/v1/jobs/{job_id}/share")) == (409, "not_ready")
    owner.post(f"/v1/jobs/{job_id}/cancel")
    assert refusal(owner.post(f"/v1/jobs/{job_id}/share")) == (409, "wrong_state")


def test_a_key_that_may_only_read_can_share_and_the_audit_log_says_so(make_client: MakeClient, job: str) -> None:
    (reader, key), (admin, _) = make_client("acme", "read"), make_client("default", "admin")
    share(reader, job)
    newest = admin.get("/v1/audit?limit=1").get_json()["entries"][0]
    assert (newest["action"], newest["caller"], newest["job"]) == ("job.shared", f"key {key.prefix}", job)
    assert refusal(admin.post(f"/v1/jobs/{job}/share")) == (403, "insufficient_scope")


def test_with_a_public_url_a_link_is_a_whole_url(settings: Settings, services: Services) -> None:
    public = settings.model_copy(update={"public_url": "https://example.com/easel"})
    client = create_app(public, services).test_client()
    link = share(client, finished_job(client, services))
    assert link["url"].startswith("https://example.com/easel/v1/shared/")
    assert link["preview_url"].startswith("https://example.com/easel/v1/shared/")
    assert client.get(link["url"].removeprefix("https://example.com/easel")).status_code == 200
