"""Calibrated weights: VGG19 filters learned from photos."""

import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image
from support.small_calibration import SMALL_CALIBRATION

from shared.errors import NotAnImage
from shared.recipe import VGG19_LAYERS
from shared.samples import sample_photo
from worker.engine.weights.calibrated import calibrate, filters
from worker.engine.weights.calibrated.calibrate import calibrated_file
from worker.engine.weights.calibrated.filters import learn_filters
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels

Images = NDArray[np.float32]


@pytest.fixture
def small_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything on small images: two seconds instead of many."""
    for module, name, value in SMALL_CALIBRATION:
        monkeypatch.setattr(f"{module}.{name}", value)


@pytest.fixture
def photos() -> list[Path]:
    return [sample_photo("chelsea"), sample_photo("coffee")]


def calibrate_photos(cache: Path, photos: list[Path], *, seed: int = 0) -> Path:
    return calibrated_file(cache, photos=photos, seed=seed, progress=lambda *_: None)


def photo_pixels(photos: list[Path]) -> Images:
    """Return the photos, small, with values of about 1."""
    return np.stack([np.asarray(Image.open(path).resize((48, 48)), np.float32) / 64 - 2 for path in photos])


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
    assert sorted(progress)[-17:] == [layer / 16 for layer in range(17)]
    assert progress.count(0) <= len(workers), "each says what it waits for"
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


@pytest.mark.usefixtures("small_calibration")
def test_the_filters_see_lightness_only(tmp_path: Path, photos: list[Path]) -> None:
    kernel, _ = load_kernels(calibrate_photos(tmp_path, photos))["block1_conv1"]
    blue, green, red = np.moveaxis(kernel, 2, 0)
    np.testing.assert_allclose(blue / 0.114, green / 0.587, rtol=1e-4)
    np.testing.assert_allclose(red / 0.299, green / 0.587, rtol=1e-4)


def test_responses_have_mean_zero_and_variance_one(monkeypatch: pytest.MonkeyPatch, photos: list[Path]) -> None:
    monkeypatch.setattr(filters, "PATCHES", 3000)
    images = photo_pixels(photos)
    kernel, bias = learn_filters(images, 24, np.random.default_rng(1))
    responses = tf.nn.conv2d(images, kernel, 1, "VALID").numpy() + bias
    np.testing.assert_allclose(responses.mean((0, 1, 2)), 0, atol=0.2)
    np.testing.assert_allclose(responses.std((0, 1, 2)), 1, atol=0.2)


def test_filters_respond_less_to_noise_than_to_what_they_were_learned_from(photos: list[Path]) -> None:
    images = photo_pixels(photos)
    noise = images.std() * np.random.default_rng(9).standard_normal(images.shape, np.float32)
    kernel, _ = learn_filters(images, 24, np.random.default_rng(1))
    assert tf.nn.conv2d(noise, kernel, 1, "VALID").numpy().std() < 2
