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
from worker.engine.weights.hdf5 import KERNEL_SHAPES, load_kernels
from worker.engine.weights.learned import calibrate, filters
from worker.engine.weights.learned.calibrate import calibrated_file
from worker.engine.weights.learned.filters import learn_filters
from worker.engine.weights.learned.synthetic_images import leaves, strokes

Images = NDArray[np.float32]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole procedure on little pictures: two seconds instead of half a minute."""
    monkeypatch.setattr(calibrate, "SIDE", 64)
    monkeypatch.setattr(calibrate, "INVENTED", 1)
    monkeypatch.setattr(filters, "PATCHES", 600)
    monkeypatch.setattr(filters, "CHANNELS", 32)


@pytest.fixture
def photos() -> list[Path]:
    return [sample_photo("chelsea"), sample_photo("coffee")]


def learned(cache: Path, photos: list[Path], *, seed: int = 0) -> Path:
    return calibrated_file(cache, photos=photos, seed=seed, progress=lambda *_: None)


def noise_of(images: Images, size: float) -> Images:
    return size * np.random.default_rng(9).standard_normal(images.shape, np.float32)


def textures(seed: int = 0) -> Images:
    """Two colour pictures that vary smoothly, in units of about 1."""
    rng = np.random.default_rng(seed)
    pictures = [np.asarray(draw(48, rng), np.float32) / 64 - 2 for draw in (leaves, strokes)]
    return np.stack(pictures)


@pytest.mark.usefixtures("small")
def test_equal_photos_and_seed_give_equal_bytes_and_another_seed_others(tmp_path: Path, photos: list[Path]) -> None:
    first, again = learned(tmp_path / "one", photos), learned(tmp_path / "two", photos)
    assert first.name == again.name
    assert first.read_bytes() == again.read_bytes()
    other = learned(tmp_path / "one", photos, seed=1)
    assert other.name != first.name
    assert other.read_bytes() != first.read_bytes()


@pytest.mark.usefixtures("small")
def test_other_photos_are_kept_under_another_name(tmp_path: Path, photos: list[Path]) -> None:
    assert learned(tmp_path, photos).name != learned(tmp_path, photos[:1]).name


@pytest.mark.usefixtures("small")
def test_of_workers_that_start_at_once_only_one_learns(tmp_path: Path, photos: list[Path]) -> None:
    told: list[float] = []
    start, found = threading.Barrier(3), set()

    def work() -> None:
        start.wait()
        found.add(calibrated_file(tmp_path, photos=photos, progress=lambda _, share: told.append(share)))

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert told == [done / 16 for done in range(16)]
    assert len(found) == 1


@pytest.mark.usefixtures("small")
def test_keras_loads_what_was_learned(tmp_path: Path, photos: list[Path]) -> None:
    path = learned(tmp_path, photos)
    network = keras.applications.VGG19(include_top=False, weights=str(path))
    for layer, (kernel, bias) in load_kernels(path).items():
        assert kernel.shape == KERNEL_SHAPES[layer]
        np.testing.assert_array_equal(network.get_layer(layer).get_weights()[0], kernel)
        np.testing.assert_array_equal(network.get_layer(layer).get_weights()[1], bias)


@pytest.mark.usefixtures("small")
def test_every_layer_answers_a_photo_about_as_strongly_as_imagenets(tmp_path: Path, photos: list[Path]) -> None:
    kernels = load_kernels(learned(tmp_path, photos))
    with Image.open(photos[0]) as photo:
        seen = calibrate._preprocessed(photo.resize((96, 64)))[np.newaxis]
    for layer, strength in zip(VGG19_LAYERS, calibrate.STRENGTHS, strict=True):
        seen = calibrate._halve(seen) if layer.endswith("conv1") and layer != "block1_conv1" else seen
        seen = calibrate._respond(seen, *kernels[layer])
        assert strength / 3 < np.sqrt(np.square(seen).mean()) < strength * 3, layer


def test_a_photo_that_is_none_is_refused_and_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("no photo")
    with pytest.raises(NotAnImage):
        learned(tmp_path / "cache", [tmp_path / "photo.jpg"])
    assert not list((tmp_path / "cache").glob("*.h5*.part"))
    assert not list((tmp_path / "cache").glob("*.h5"))


def test_responses_are_centred_and_of_variance_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PATCHES", 3000)
    seen = textures()
    kernel, bias = learn_filters(seen, seen + noise_of(seen, 0.01), 24, np.random.default_rng(1))
    inside = tf.nn.conv2d(seen, kernel, 1, "VALID").numpy() + bias
    np.testing.assert_allclose(inside.mean((0, 1, 2)), 0, atol=0.2)
    np.testing.assert_allclose(inside.std((0, 1, 2)), 1, atol=0.2)


def test_filters_grow_deaf_to_what_they_are_told_is_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filters, "PATCHES", 2000)
    seen = textures()
    noise = noise_of(seen, 0.3)

    def heard(disturbed: Images) -> float:
        kernel, _ = learn_filters(seen, disturbed, 24, np.random.default_rng(1))
        return float(tf.nn.conv2d(noise, kernel, 1, "VALID").numpy().std())

    assert heard(seen + noise) < 0.7 * heard(seen)


@given(seed=st.integers(0, 2**32), draw=st.sampled_from([leaves, strokes]), side=st.integers(16, 70))
@settings(max_examples=8)
def test_an_invented_picture_is_the_same_for_the_same_seed_and_full_of_contrast(
    seed: int, draw: Callable[[int, np.random.Generator], Image.Image], side: int
) -> None:
    one, two = (draw(side, np.random.default_rng(seed)) for _ in range(2))
    assert one.size == (side, side)
    assert one.tobytes() == two.tobytes()
    assert np.asarray(one).std() > 5
