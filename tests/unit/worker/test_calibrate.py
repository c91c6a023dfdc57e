"""Calibrated weights: VGG19 filters learned from photos."""

import threading
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from shared.errors import NotAnImage
from shared.recipe import VGG19_LAYERS
from shared.samples import sample_photo
from worker.engine.weights.calibrated import calibrate, filters
from worker.engine.weights.calibrated.calibrate import calibrated_file
from worker.engine.weights.calibrated.filters import learn_filters
from worker.engine.weights.calibrated.synthetic_images import brush_strokes, dead_leaves
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels

Images = NDArray[np.float32]


@pytest.fixture
def small_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on small images: two seconds instead of about a minute."""
    monkeypatch.setattr(calibrate, "SIDE", 64)
    monkeypatch.setattr(calibrate, "SYNTHETIC_IMAGES", 1)
    monkeypatch.setattr(filters, "PATCHES", 600)
    monkeypatch.setattr(filters, "CHANNELS", 32)


@pytest.fixture
def photos() -> list[Path]:
    return [sample_photo("chelsea"), sample_photo("coffee")]


def calibrate_photos(cache: Path, photos: list[Path], *, seed: int = 0) -> Path:
    return calibrated_file(cache, photos=photos, seed=seed, progress=lambda *_: None)


def white_noise(images: Images, scale: float) -> Images:
    return scale * np.random.default_rng(9).standard_normal(images.shape, np.float32)


def textures(seed: int = 0) -> Images:
    """Two color images with values of about 1."""
    rng = np.random.default_rng(seed)
    return np.stack([np.asarray(draw(48, rng), np.float32) / 64 - 2 for draw in (dead_leaves, brush_strokes)])


@pytest.mark.usefixtures("small_calibration")
def test_equal_photos_and_seed_give_equal_bytes_and_another_seed_does_not(tmp_path: Path, photos: list[Path]) -> None:
    first, again = (calibrate_photos(tmp_path / folder, photos) for folder in ("one", "two"))
    assert first.name == again.name
    assert first.read_bytes() == again.read_bytes()
    other = calibrate_photos(tmp_path / "one", photos, seed=1)
    assert other.name != first.name
    assert other.read_bytes() != first.read_bytes()


@pytest.mark.usefixtures("small_calibration")
def test_filters_of_other_photos_have_another_file_name(tmp_path: Path, photos: list[Path]) -> None:
    assert calibrate_photos(tmp_path, photos).name != calibrate_photos(tmp_path, photos[:1]).name


@pytest.mark.usefixtures("small_calibration")
def test_only_one_of_several_concurrent_workers_learns_the_filters(tmp_path: Path, photos: list[Path]) -> None:
    progress: list[float] = []
    start, paths = threading.Barrier(3), set()

    def work() -> None:
        start.wait()
        paths.add(calibrated_file(tmp_path, photos=photos, progress=lambda _, done: progress.append(done)))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert progress == [layer / 16 for layer in range(16)]
    assert len(paths) == 1


@pytest.mark.usefixtures("small_calibration")
def test_keras_loads_the_learned_file(tmp_path: Path, photos: list[Path]) -> None:
    path = calibrate_photos(tmp_path, photos)
    network = keras.applications.VGG19(include_top=False, weights=str(path))
    for layer, (kernel, bias) in load_kernels(path).items():
        assert kernel.shape == KERNEL_SHAPES[layer]
        np.testing.assert_array_equal(network.get_layer(layer).get_weights()[0], kernel)
        np.testing.assert_array_equal(network.get_layer(layer).get_weights()[1], bias)


@pytest.mark.usefixtures("small_calibration")
def test_every_layers_activations_are_about_as_strong_as_with_imagenets_weights(
    tmp_path: Path, photos: list[Path]
) -> None:
    kernels = load_kernels(calibrate_photos(tmp_path, photos))
    with Image.open(photos[0]) as photo:
        images = calibrate._preprocess(photo.resize((96, 64)))[np.newaxis]
    for layer, strength in zip(VGG19_LAYERS, calibrate.STRENGTHS, strict=True):
        images = calibrate._max_pool(images) if layer.endswith("conv1") and layer != "block1_conv1" else images
        images = calibrate._activations(images, *kernels[layer])
        assert strength / 3 < np.sqrt(np.square(images).mean()) < strength * 3, layer


def test_a_file_that_is_not_an_image_is_rejected_and_leaves_no_weights(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("not an image")
    with pytest.raises(NotAnImage):
        calibrate_photos(tmp_path / "cache", [tmp_path / "photo.jpg"])
    assert not list((tmp_path / "cache").glob("*.h5*.part"))
    assert not list((tmp_path / "cache").glob("*.h5"))


def test_responses_have_mean_zero_and_variance_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PATCHES", 3000)
    images = textures()
    kernel, bias = learn_filters(images, images + white_noise(images, 0.01), 24, np.random.default_rng(1))
    responses = tf.nn.conv2d(images, kernel, 1, "VALID").numpy() + bias
    np.testing.assert_allclose(responses.mean((0, 1, 2)), 0, atol=0.2)
    np.testing.assert_allclose(responses.std((0, 1, 2)), 1, atol=0.2)


def test_filters_respond_less_to_the_noise_that_they_were_trained_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PATCHES", 2000)
    images = textures()
    noise = white_noise(images, 0.3)

    def response_to_noise(noisy_images: Images) -> float:
        kernel, _ = learn_filters(images, noisy_images, 24, np.random.default_rng(1))
        return float(tf.nn.conv2d(noise, kernel, 1, "VALID").numpy().std())

    assert response_to_noise(images + noise) < 0.7 * response_to_noise(images)


@given(seed=st.integers(0, 2**32), draw=st.sampled_from([dead_leaves, brush_strokes]), side=st.integers(16, 70))
@settings(max_examples=8)
def test_a_synthetic_image_is_the_same_for_the_same_seed_and_has_contrast(
    seed: int, draw: Callable[[int, np.random.Generator], Image.Image], side: int
) -> None:
    one, two = (draw(side, np.random.default_rng(seed)) for _ in range(2))
    assert one.size == (side, side)
    assert one.tobytes() == two.tobytes()
    assert np.asarray(one).std() > 5
