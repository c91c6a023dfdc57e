import hashlib
import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from shared.errors import WeightsUnavailable
from shared.recipe import VGG19_LAYERS
from worker.engine.weights import sources
from worker.engine.weights.download import download
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels, made_once, save_kernels
from worker.engine.weights.learned import calibrate
from worker.engine.weights.sources import Weights, resolve_weights


def keras_2_file(path: Path, *, value: float = 0.5, skip: str = "", extra: str = "") -> Path:
    """Small on disk: nothing is stored but the fill value."""
    with h5py.File(path, "w") as file:
        names = [name for name in (*VGG19_LAYERS, extra) if name and name != skip]
        file.attrs["layer_names"] = [b"input_1", *(name.encode() for name in names), b"block5_pool"]
        file.create_group("input_1").attrs["weight_names"] = []
        file.create_group("block5_pool").attrs["weight_names"] = []
        for name in names:
            shape = KERNEL_SHAPES.get(name, (3, 3, 8, 8))
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_W_1:0".encode(), f"{name}_b_1:0".encode()]
            group.create_dataset(f"{name}_W_1:0", shape=shape, dtype="f4", fillvalue=value)
            group.create_dataset(f"{name}_b_1:0", shape=shape[3:], dtype="f4", fillvalue=value)
    return path


@pytest.fixture(autouse=True)
def nothing_on_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "BESIDE_CHECKOUT", tmp_path / "beside")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

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


def sends(body: bytes, *, only: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[:only])

    return answer


def test_a_file_of_keras_2_is_read_from_shallow_to_deep(tmp_path: Path) -> None:
    kernels = load_kernels(keras_2_file(tmp_path / "vgg.h5"))
    assert tuple(kernels) == VGG19_LAYERS
    assert {layer: kernel.shape for layer, (kernel, _) in kernels.items()} == KERNEL_SHAPES
    assert all(bias.shape == kernel.shape[3:] and kernel.dtype == np.float32 for kernel, bias in kernels.values())


def test_the_imagenet_file_beside_the_checkout_is_read(beside: Path) -> None:
    found = resolve_weights(str(next((beside / "weights").glob("*.h5"))), cache=Path("unused"))
    kernels = load_kernels(found.path)
    assert float(kernels["block1_conv1"][0].std()) > 0.1
    assert "VGG19 weights: from a file" in found.describe()
    assert found.sha256[:8] in found.describe()


def test_what_is_saved_is_what_is_loaded_and_always_the_same_bytes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    kernels = {
        layer: (rng.random(shape, np.float32), rng.random(shape[3], np.float32))
        for layer, shape in KERNEL_SHAPES.items()
    }
    for name in ("one.h5", "two.h5"):
        save_kernels(tmp_path / name, kernels)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    for layer, (kernel, bias) in load_kernels(tmp_path / "one.h5").items():
        np.testing.assert_array_equal(kernel, kernels[layer][0])
        np.testing.assert_array_equal(bias, kernels[layer][1])


@pytest.mark.parametrize("spec", ["nowhere/vgg19.h5", "imagnet"])
def test_a_missing_file_or_a_misspelt_name_is_answered_with_the_choices(spec: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match="`auto`, `imagenet`, `calibrated`"):
        resolve_weights(spec, cache=tmp_path)


def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vgg.h5").write_text("<html>404 Not Found</html>")
    with pytest.raises(WeightsUnavailable, match="damaged or no HDF5 file"):
        resolve_weights(str(tmp_path / "vgg.h5"), cache=tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg.h5")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        resolve_weights(str(path), cache=tmp_path)


def test_another_network_is_refused_with_the_layers_it_lacks(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg16.h5", skip="block3_conv4")
    with pytest.raises(WeightsUnavailable, match=r"lacks block3_conv4.*_notop\.h5"):
        resolve_weights(str(path), cache=tmp_path)


def test_vgg19_with_its_top_is_refused_with_the_layer_too_many(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "top.h5", extra="predictions")
    with pytest.raises(WeightsUnavailable, match="has predictions"):
        resolve_weights(str(path), cache=tmp_path)


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg.h5", value=float("nan"))
    with pytest.raises(WeightsUnavailable, match="not finite"):
        resolve_weights(str(path), cache=tmp_path)


def test_the_download_is_the_one_that_keras_does() -> None:
    from keras.src.applications import vgg19  # noqa: PLC0415 - TensorFlow comes with it

    assert vgg19.WEIGHTS_PATH_NO_TOP == sources.IMAGENET_URL
    assert sources.IMAGENET_MD5 in inspect.getsource(vgg19.VGG19)


def test_a_download_with_the_right_hash_is_kept_and_not_fetched_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    body = keras_2_file(tmp_path / "published.h5").read_bytes()
    monkeypatch.setattr(sources, "IMAGENET_MD5", hashlib.md5(body, usedforsecurity=False).hexdigest())
    shares: list[float] = []
    with server(sends(body)) as url:
        monkeypatch.setattr(sources, "IMAGENET_URL", url)
        first = resolve_weights("imagenet", cache=tmp_path / "cache", progress=lambda _, share: shares.append(share))
    assert shares[-1] == 1.0
    assert first == Weights("imagenet", tmp_path / "cache" / sources.IMAGENET_NAME, hashlib.sha256(body).hexdigest())
    assert resolve_weights("imagenet", cache=tmp_path / "cache") == first  # the server is gone
    assert resolve_weights("auto", cache=tmp_path / "cache") == first


@pytest.mark.parametrize("only", [None, 1000])
def test_a_wrong_or_half_download_leaves_nothing_behind(
    only: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with server(sends(bytes(2000), only=only)) as url:
        monkeypatch.setattr(sources, "IMAGENET_URL", url)
        with pytest.raises(WeightsUnavailable, match=r"not the file that Keras publishes|only 1000 of"):
            resolve_weights("imagenet", cache=tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_silent_network_is_given_up_after_the_bound(tmp_path: Path) -> None:
    released = threading.Event()
    with server(lambda _: released.wait() and None) as url:
        try:
            with pytest.raises(WeightsUnavailable, match="set EASEL_WEIGHTS"):
                download(url, tmp_path / "file", progress=lambda _: None, silence=0.1)
        finally:
            released.set()


def test_auto_prefers_the_file_beside_the_checkout(tmp_path: Path) -> None:
    (tmp_path / "beside").mkdir()
    path = keras_2_file(tmp_path / "beside" / "vgg.h5")
    found = resolve_weights("auto", cache=tmp_path / "cache")
    assert (found.source, found.path) == ("path", path)


def test_auto_finds_what_keras_has_downloaded_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "keras" / "models").mkdir(parents=True)
    path = keras_2_file(tmp_path / "keras" / "models" / sources.IMAGENET_NAME)
    monkeypatch.setattr(sources, "IMAGENET_MD5", hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    found = resolve_weights("auto", cache=tmp_path / "cache")
    assert (found.source, found.path) == ("imagenet", path)


def test_auto_stays_with_filters_that_were_learned_before_and_asks_no_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8)).save(photo)
    monkeypatch.setattr(calibrate, "calibrate", lambda *_, **__: load_kernels(keras_2_file(tmp_path / "any.h5")))
    path = calibrate.calibrated_file(tmp_path, photos=[photo], progress=lambda _, __: None)
    asked: list[str] = []
    monkeypatch.setattr(sources, "download", lambda url, *_, **__: asked.append(url))
    found = resolve_weights("auto", cache=tmp_path, photos=[photo])
    assert (found.source, found.path, asked) == ("calibrated", path, [])


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(WeightsUnavailable, match="cannot be kept in"):
        made_once(tmp_path / "cache" / "x.h5", Path.touch)


def test_what_a_killed_process_left_half_done_is_done_anew(tmp_path: Path) -> None:
    dies = (
        "import os, signal, sys; from pathlib import Path; from worker.engine.weights.hdf5 import made_once\n"
        "def half(part): part.write_text('ha'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "made_once(Path(sys.argv[1]), half)"
    )
    killed = subprocess.run([sys.executable, "-c", dies, str(tmp_path / "x")], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "x.part").exists()
    made = made_once(tmp_path / "x", lambda part: part.write_text("whole") and None)
    assert made.read_text() == "whole"
    assert not (tmp_path / "x.part").exists()
