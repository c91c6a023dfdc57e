"""The operator's style images."""

import io
import os
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from PIL import Image
from support.fixtures.api import image_file

from api.app import create_app
from shared.services import Services
from shared.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "styles"
    folder.mkdir()
    (folder / "b c.png").write_bytes(image_file(size=(400, 200)))
    (folder / "a.JPG").write_bytes(image_file(kind="JPEG"))
    (folder / "notes.txt").write_text("not a picture")
    (folder / "below.png").mkdir()
    (tmp_path / "secret.png").write_bytes(image_file())
    return folder


@pytest.fixture
def client(settings: Settings, services: Services, folder: Path) -> FlaskClient:
    return create_app(settings.model_copy(update={"styles_dir": folder}), services).test_client()


def test_the_pictures_of_the_folder_are_listed_by_name(client: FlaskClient) -> None:
    styles = client.get("/v1/styles").get_json()["styles"]
    assert styles == [
        {"name": "a.JPG", "url": "/v1/styles/a.JPG"},
        {"name": "b c.png", "url": "/v1/styles/b%20c.png"},
    ]


def test_a_name_that_is_not_utf8_is_left_out(client: FlaskClient, folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.png")).write_bytes(image_file())
    assert [style["name"] for style in client.get("/v1/styles").get_json()["styles"]] == ["a.JPG", "b c.png"]


def test_a_style_is_sent_as_a_jpeg_of_the_size_that_was_asked_for(client: FlaskClient) -> None:
    response = client.get("/v1/styles/b%20c.png?longest=100")
    assert response.mimetype == "image/jpeg"
    assert Image.open(io.BytesIO(response.data)).size == (100, 50)
    assert Image.open(io.BytesIO(client.get("/v1/styles/b%20c.png").data)).size == (400, 200)
    again = client.get("/v1/styles/b%20c.png?longest=100", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304


def test_a_style_that_was_replaced_is_sent_again(client: FlaskClient, folder: Path) -> None:
    first = client.get("/v1/styles/a.JPG")
    (folder / "a.JPG").write_bytes(image_file((1, 2, 3), (50, 90), "JPEG"))
    second = client.get("/v1/styles/a.JPG", headers={"If-None-Match": first.headers["ETag"]})
    assert Image.open(io.BytesIO(second.data)).size == (50, 90)


@pytest.mark.parametrize("name", ["..%2Fsecret.png", "notes.txt", "below.png", "missing.png"])
def test_only_pictures_in_the_folder_are_sent(client: FlaskClient, name: str) -> None:
    assert client.get(f"/v1/styles/{name}").status_code == 404


def test_a_picture_that_cannot_be_decoded_is_an_error_of_its_own(client: FlaskClient, folder: Path) -> None:
    (folder / "broken.png").write_bytes(image_file()[:60])
    assert client.get("/v1/styles/broken.png").get_json()["code"] == "broken_image"


def test_without_a_folder_there_are_no_styles(settings: Settings, services: Services) -> None:
    assert create_app(settings, services).test_client().get("/v1/styles").get_json() == {"styles": []}
