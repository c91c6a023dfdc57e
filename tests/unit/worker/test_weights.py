"""The sources of VGG19's weights: files, downloads from servers that may fail, and calibrated filters."""

import hashlib
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from PIL import Image
from support.weights_file import keras_2_file

from shared.errors import WeightsUnavailable
from worker.engine.weights import sources
from worker.engine.weights.calibrated import calibrate
from worker.engine.weights.download import download
from worker.engine.weights.hdf5 import load_kernels
from worker.engine.weights.sources import Weights, resolve_weights


@pytest.fixture(autouse=True)
def no_weights_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "SIBLING_FOLDER", tmp_path / "sibling")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@contextmanager
def server(respond: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}/{sources.IMAGENET_NAME}"
        finally:
            httpd.shutdown()
            thread.join()


def send(body: bytes, *, sent_bytes: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:sent_bytes])

    return respond


def test_the_imagenet_file_next_to_the_checkout_is_read(shared_folder: Path) -> None:
    weights = resolve_weights(str(next((shared_folder / "weights").glob("*.h5"))), cache=Path("unused"))
    kernels = load_kernels(weights.path)
    assert float(kernels["block1_conv1"][0].std()) > 0.1
    assert "VGG19 weights: from a file" in weights.describe()
    assert weights.sha256[:8] in weights.describe()


@pytest.mark.parametrize("spec", ["nowhere/vgg19.h5", "imagnet"])
def test_an_error_for_a_missing_file_or_a_misspelled_name_lists_the_choices(spec: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="`auto`, `imagenet`, `calibrated`"):
        resolve_weights(spec, cache=tmp_path)


def test_url_and_checksum_are_those_of_keras() -> None:
    from keras.src.applications import vgg19  # noqa: PLC0415 - TensorFlow comes with it

    assert vgg19.WEIGHTS_PATH_NO_TOP == sources.IMAGENET_URL
    assert sources.IMAGENET_MD5 in inspect.getsource(vgg19.VGG19)


def test_a_download_with_the_right_checksum_is_cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    body = keras_2_file(tmp_path / "published.h5").read_bytes()
    monkeypatch.setattr(sources, "IMAGENET_MD5", hashlib.md5(body, usedforsecurity=False).hexdigest())
    shares: list[float] = []
    with server(send(body)) as url:
        monkeypatch.setattr(sources, "IMAGENET_URL", url)
        first = resolve_weights("imagenet", cache=tmp_path / "cache", progress=lambda _, share: shares.append(share))
    assert shares[-1] == 1.0
    assert first == Weights("imagenet", tmp_path / "cache" / sources.IMAGENET_NAME, hashlib.sha256(body).hexdigest())
    assert resolve_weights("imagenet", cache=tmp_path / "cache") == first  # without the server
    assert resolve_weights("auto", cache=tmp_path / "cache") == first


@pytest.mark.parametrize(
    ("sent_bytes", "reason"),
    [(None, "did not return the file that Keras publishes"), (1000, "received 1000 bytes, expected 2000")],
)
def test_a_wrong_or_incomplete_download_leaves_no_file(
    sent_bytes: int | None, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with server(send(bytes(2000), sent_bytes=sent_bytes)) as url:
        monkeypatch.setattr(sources, "IMAGENET_URL", url)
        with pytest.raises(WeightsUnavailable, match=reason):
            resolve_weights("imagenet", cache=tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_an_interrupted_download_leaves_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        assert (tmp_path / "cache" / f"{sources.IMAGENET_NAME}.part").exists()
        raise KeyboardInterrupt

    with server(send(bytes(2000))) as url:
        monkeypatch.setattr(sources, "IMAGENET_URL", url)
        with pytest.raises(KeyboardInterrupt):
            resolve_weights("imagenet", cache=tmp_path / "cache", progress=interrupt)
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_an_http_error_is_reported(tmp_path: Path) -> None:
    with server(lambda handler: handler.send_error(503)) as url, pytest.raises(WeightsUnavailable, match="503"):
        download(url, tmp_path / "file", progress=lambda _: None)


@pytest.mark.parametrize("silent_part", ["headers", "body"])
def test_a_download_from_a_silent_server_times_out(silent_part: str, tmp_path: Path) -> None:
    released = threading.Event()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        if silent_part == "body":
            handler.send_response(200)
            handler.send_header("Content-Length", "2000")
            handler.end_headers()
        released.wait()

    with server(respond) as url:
        try:
            with pytest.raises(WeightsUnavailable, match="set EASEL_WEIGHTS"):
                download(url, tmp_path / "file", progress=lambda _: None, timeout_seconds=0.2)
        finally:
            released.set()


def test_a_name_lookup_that_hangs_times_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    released = threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        released.wait()
        return []

    monkeypatch.setattr("socket.getaddrinfo", hang)
    with pytest.raises(WeightsUnavailable, match=r"example\.org failed \(no response within 0\.1 s\)"):
        download("http://example.org/vgg.h5", tmp_path / "file", progress=lambda _: None, timeout_seconds=0.1)
    released.set()


def test_a_download_goes_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with server(send(b"weights")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.rpartition("/")[0])
        monkeypatch.setenv("no_proxy", "")
        download("http://example.invalid/vgg.h5", tmp_path / "file", progress=lambda _: None)
    assert (tmp_path / "file").read_bytes() == b"weights"


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("socks5://127.0.0.1:9", "SOCKS proxy"),
        ("ftp://127.0.0.1:9", "scheme for proxy"),
        ("http://127.0.0.1:port", "Invalid port"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_reported(
    proxy: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(WeightsUnavailable, match=rf"example\.invalid failed \(.*{reason}.*\); .*set EASEL_WEIGHTS"):
        download("http://example.invalid/vgg.h5", tmp_path / "file", progress=lambda _: None)


def test_auto_prefers_the_file_next_to_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "sibling").mkdir()
    path = keras_2_file(tmp_path / "sibling" / "vgg.h5")
    weights = resolve_weights("auto", cache=tmp_path / "cache")
    assert (weights.source, weights.path) == ("path", path)


def test_auto_uses_the_file_in_the_cache_of_keras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keras" / "models").mkdir(parents=True)
    path = keras_2_file(tmp_path / "keras" / "models" / sources.IMAGENET_NAME)
    monkeypatch.setattr(sources, "IMAGENET_MD5", hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    weights = resolve_weights("auto", cache=tmp_path / "cache")
    assert (weights.source, weights.path) == ("imagenet", path)


def test_auto_uses_filters_that_were_already_learned_without_the_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    monkeypatch.setattr(calibrate, "calibrate", lambda *_, **__: load_kernels(keras_2_file(tmp_path / "any.h5")))
    path = calibrate.calibrated_file(tmp_path, photos=[photo], progress=lambda _, __: None)
    downloads: list[str] = []
    monkeypatch.setattr(sources, "download", lambda url, *_, **__: downloads.append(url))
    weights = resolve_weights("auto", cache=tmp_path, photos=[photo])
    assert (weights.source, weights.path, downloads) == ("calibrated", path, [])
