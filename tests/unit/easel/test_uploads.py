"""The images and recipes that a submission accepts."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fixtures.client import Connect
from support.scripted_server import JOB, problem, reply, serve

from easel import ApiError, BadInput, ImageInput

pytestmark = pytest.mark.usefixtures("short_pauses")
NOT_UTF_8 = "caf\udce9.jpg"  # café in Latin-1, as Python spells it


class Pipe(io.RawIOBase):
    """A file object that cannot seek and has no name."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read(self, _: int = -1) -> bytes:
        content, self._content = self._content, b""
        return content


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"a photo")
    return path


def submitted_body(connect: Connect, content: Any, styles: Any = b"style", recipe: Any = None) -> bytes:
    with serve(reply(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(content, styles, recipe)
    return server.requests[0].body


@pytest.mark.parametrize("convert", [str, Path], ids=["str", "Path"])
def test_a_path_is_sent_with_its_file_name(
    connect: Connect, photo: Path, convert: Callable[[Path], ImageInput]
) -> None:
    body = submitted_body(connect, convert(photo), [convert(photo), b"style"])
    assert body.count(b'filename="photo.jpg"') == 2
    assert body.count(b"a photo") == 2


IMAGE_ID = f"sha256:{64 * '0'}"


def test_ids_and_urls_are_sent_in_a_form_with_files(connect: Connect) -> None:
    body = submitted_body(connect, b"a photo", [IMAGE_ID, "https://example.com/style.jpg"])
    assert b"\r\n\r\na photo\r\n" in body
    assert f'name="style"\r\n\r\n{IMAGE_ID}\r\n'.encode() in body
    assert b'name="style"\r\n\r\nhttps://example.com/style.jpg\r\n' in body


@pytest.mark.parametrize("styles", [[IMAGE_ID], [IMAGE_ID, b"style"]], ids=["no file", "both in one part"])
def test_ids_are_sent_as_json_if_a_form_cannot_have_them(connect: Connect, styles: list[ImageInput]) -> None:
    body = json.loads(submitted_body(connect, IMAGE_ID, styles))
    files = [{"base64": "c3R5bGU="}] if b"style" in styles else []
    assert (body["content"], body["styles"]) == (IMAGE_ID, [IMAGE_ID, *files])


def test_a_file_object_is_sent_with_its_name_and_stays_open(connect: Connect, photo: Path) -> None:
    with photo.open("rb") as file:
        body = submitted_body(connect, file, file)
        assert not file.closed
    assert body.count(b'filename="photo.jpg"') == 2
    assert body.count(b"a photo") == 2


def test_a_file_object_is_read_from_its_position_which_it_keeps(connect: Connect) -> None:
    file = io.BytesIO(b"header photo")
    file.seek(7)
    body = submitted_body(connect, file)
    assert b"photo" in body
    assert b"header" not in body
    assert file.tell() == 7


def test_a_file_object_that_cannot_seek_is_sent_again_by_a_retry(connect: Connect) -> None:
    unavailable = problem(503, "unavailable", retryable=True)
    with serve(unavailable, reply(JOB, 202)) as server, connect(server.url) as easel:
        easel.submit(Pipe(b"a photo"), b"style")
    assert [b"a photo" in request.body for request in server.requests] == [True, True]
    assert b'filename="image"' in server.requests[0].body


def test_a_file_object_of_a_descriptor_has_no_name(connect: Connect, photo: Path) -> None:
    with os.fdopen(os.open(photo, os.O_RDONLY), "rb") as file:
        assert b'filename="image"' in submitted_body(connect, file)


def test_a_file_object_in_text_mode_is_a_type_error(connect: Connect) -> None:
    with connect("http://127.0.0.1:9") as easel, pytest.raises(TypeError, match="binary mode"):
        easel.submit(io.StringIO("photo"), b"style")


def test_a_missing_file_is_an_os_error(connect: Connect, tmp_path: Path) -> None:
    with connect("http://127.0.0.1:9") as easel, pytest.raises(FileNotFoundError):
        easel.submit(b"photo", [b"style", tmp_path / "missing.jpg"])


def test_a_file_name_that_is_not_utf_8_is_sent_with_a_replacement(connect: Connect, tmp_path: Path) -> None:
    path = tmp_path / NOT_UTF_8
    path.write_bytes(b"a photo")
    assert 'filename="caf\ufffd.jpg"'.encode() in submitted_body(connect, path)


def test_an_image_error_names_the_file(connect: Connect, tmp_path: Path, photo: Path) -> None:
    path = tmp_path / NOT_UTF_8
    path.write_bytes(b"words")
    body = {"code": "not_an_image", "detail": "The file is not an image.", "field": "style"}
    for images, name in (([path], "caf\ufffd.jpg: "), ([io.BytesIO(b"words")], "style 1: ")):
        with (
            serve(reply({**body, "number": 0}, 422)) as server,
            connect(server.url) as easel,
            pytest.raises(BadInput) as caught,
        ):
            easel.submit(photo, images)
        assert name in caught.value.detail
        assert caught.value.detail.encode()  # it can be printed


def test_a_recipe_is_a_preset_or_a_file(connect: Connect, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"steps": 7}')
    assert b'{"preset": "fast"}' in submitted_body(connect, b"photo", recipe="fast")
    assert b'{"steps": 7}' in submitted_body(connect, b"photo", recipe=file)


@pytest.mark.parametrize("text", ["{", "[1]", "5"])
def test_a_recipe_file_that_is_not_a_json_object_is_refused_before_it_is_sent(
    connect: Connect, tmp_path: Path, text: str
) -> None:
    (tmp_path / "bad.json").write_text(text)
    with connect("http://127.0.0.1:9") as easel, pytest.raises(ApiError, match="not a JSON object") as caught:
        easel.submit(b"photo", b"style", tmp_path / "bad.json")
    assert (caught.value.code, caught.value.status) == ("invalid_recipe", 0)
