"""VGG19's weights in HDF5 files: reading, writing, and the errors for broken ones."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.weights_file import keras_2_file

from shared.errors import WeightsUnavailable
from shared.recipe import VGG19_LAYERS
from worker.engine.weights.hdf5 import KERNEL_SHAPES, create_once, load_kernels, save_kernels
from worker.engine.weights.sources import resolve_weights


def test_the_layers_of_a_keras_2_file_are_returned_from_shallow_to_deep(tmp_path: Path) -> None:
    kernels = load_kernels(keras_2_file(tmp_path / "vgg.h5"))
    assert tuple(kernels) == VGG19_LAYERS
    assert {layer: kernel.shape for layer, (kernel, _) in kernels.items()} == KERNEL_SHAPES
    assert all(bias.shape == kernel.shape[3:] and kernel.dtype == np.float32 for kernel, bias in kernels.values())


def test_saved_kernels_load_unchanged_and_give_the_same_bytes_each_time(tmp_path: Path) -> None:
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


def test_a_file_that_is_not_hdf5_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "vgg.h5").write_text("<html>404 Not Found</html>")
    with pytest.raises(WeightsUnavailable, match="damaged or not an HDF5 file"):
        resolve_weights(str(tmp_path / "vgg.h5"), cache=tmp_path)


def test_a_truncated_file_is_rejected(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg.h5")
    path.write_bytes(path.read_bytes()[:-4000])
    with pytest.raises(WeightsUnavailable, match="damaged"):
        resolve_weights(str(path), cache=tmp_path)


def test_the_error_for_another_network_names_the_missing_layers(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg16.h5", skip="block3_conv4")
    with pytest.raises(WeightsUnavailable, match=r"lacks block3_conv4.*_notop\.h5"):
        resolve_weights(str(path), cache=tmp_path)


def test_the_error_for_vgg19_with_its_top_names_the_extra_layer(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "top.h5", extra="predictions")
    with pytest.raises(WeightsUnavailable, match="has predictions"):
        resolve_weights(str(path), cache=tmp_path)


def test_weights_that_are_not_finite_are_rejected(tmp_path: Path) -> None:
    path = keras_2_file(tmp_path / "vgg.h5", value=float("nan"))
    with pytest.raises(WeightsUnavailable, match="not finite"):
        resolve_weights(str(path), cache=tmp_path)


def test_the_error_for_a_cache_that_is_not_writable_names_its_folder(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(WeightsUnavailable, match="cannot be saved in"):
        create_once(tmp_path / "cache" / "x.h5", Path.touch)


def test_the_partial_file_of_a_killed_process_is_replaced(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from worker.engine.weights.hdf5 import create_once\n"
        "def create(part): part.write_text('ha'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "create_once(Path(sys.argv[1]), create)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "x")], check=False, env=dict(os.environ))
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "x.part").exists()
    create_once(tmp_path / "x", lambda part: part.write_text("whole") and None)
    assert (tmp_path / "x").read_text() == "whole"
    assert not (tmp_path / "x.part").exists()
