"""Reading and writing VGG19's kernels in the `.h5` layout of Keras' no-top VGG19, without Keras.

The attribute `weight_names` of a layer's group lists the names of its arrays, kernel first. Keras 2, Keras 3 and the
file that Keras has published since 2016 differ only in those names.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
from numpy.typing import NDArray

from shared.errors import WeightsUnavailable
from shared.recipe import VGG19_LAYERS

Array = NDArray[np.float32]
Kernels = Mapping[str, tuple[Array, Array]]
"""Layer name to (kernel, bias): float32, HWIO and O. Inputs are BGR, 0..255, less the ImageNet mean."""

BGR_MEANS: Final = (103.939, 116.779, 123.68)
"""ImageNet's mean color, BGR in 0..255, as subtracted by the original Caffe model."""

_BLOCK_CHANNELS: Final = {"block1": 64, "block2": 128, "block3": 256, "block4": 512, "block5": 512}
KERNEL_SHAPES: Final = {
    layer: (3, 3, in_channels, out_channels)
    for layer, (in_channels, out_channels) in zip(
        VGG19_LAYERS, pairwise([3, *(_BLOCK_CHANNELS[layer.partition("_")[0]] for layer in VGG19_LAYERS)]), strict=True
    )
}
"""By layer, HWIO."""


def load_kernels(path: Path) -> dict[str, tuple[Array, Array]]:
    """Return every layer's (kernel, bias) by Keras' layer name, from shallow to deep.

    Kernels are float32 HWIO (3, 3, in, out), biases float32 (out,). Raises WeightsUnavailable if the file is missing,
    damaged, or not a VGG19 without top.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"There is no weights file {path}; check the path.") from error
    except (OSError, KeyError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"{path} is damaged or not an HDF5 file ({error}); download it again, or use `imagenet` or `calibrated`."
        ) from error


def save_kernels(path: Path, kernels: Kernels) -> None:
    """Write `kernels` in the layout that `keras.applications.VGG19(include_top=False, weights=path)` loads.

    Equal kernels give equal bytes. Not atomic: write to a temporary path (see `create_once`).
    """
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in VGG19_LAYERS]
        for layer in VGG19_LAYERS:
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel".encode(), f"{layer}/bias".encode()]
            for part, values in zip(("kernel", "bias"), kernels[layer], strict=True):
                group.create_dataset(f"{layer}/{part}", data=values, dtype="<f4")


def create_once(path: Path, create: Callable[[Path], None], *, is_valid: Callable[[Path], bool] = Path.is_file) -> Path:
    """Create `path` atomically with `create(temporary path)` unless a valid file exists, and return it.

    If processes call this at the same time, one creates the file and the others wait. The operating system releases
    the lock of a dead process, and the next one overwrites the partial file. Raises WeightsUnavailable if the folder is
    not writable. Errors of `create` are passed on, except OSError.
    """
    if is_valid(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f"{path.name}.lock")):
            if not is_valid(path):
                _create_atomically(path, create)
    except OSError as error:
        raise WeightsUnavailable(
            f"The weights cannot be saved in {path.parent} ({error}); make it writable or choose another cache folder."
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _create_atomically(path: Path, create: Callable[[Path], None]) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        create(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(file: h5py.File, path: Path) -> dict[str, tuple[Array, Array]]:
    root = file.get("model_weights", file)  # in a saved model the weights are one level down
    layers = {_text(name) for name in root.attrs.get("layer_names", ()) if _arrays(root, name)}
    if layers != set(VGG19_LAYERS):
        raise WeightsUnavailable(
            f"{path} does not hold VGG19 without its top in Keras' .h5 layout ({_difference(layers)}); use the file "
            f"that Keras publishes as vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5, or `imagenet` or `calibrated`."
        )
    return {layer: _layer(root, layer, path) for layer in VGG19_LAYERS}


def _layer(root: h5py.Group, layer: str, path: Path) -> tuple[Array, Array]:
    arrays = [np.asarray(array, np.float32) for array in _arrays(root, layer)]
    shapes, expected = [array.shape for array in arrays], [KERNEL_SHAPES[layer], KERNEL_SHAPES[layer][3:]]
    if shapes != expected:
        raise WeightsUnavailable(f"{path} is not VGG19: the shapes of {layer} are {shapes}, expected {expected}.")
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsUnavailable(f"{path} is damaged: {layer} contains numbers that are not finite; download it again.")
    return arrays[0], arrays[1]


def _arrays(root: h5py.Group, layer: Any) -> list[h5py.Dataset]:
    group = root[_text(layer)]
    return [group[_text(name)] for name in group.attrs.get("weight_names", ())]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _difference(layers: set[str]) -> str:
    missing, extra = sorted(set(VGG19_LAYERS) - layers), sorted(layers - set(VGG19_LAYERS))
    return "; ".join(f"{word} {', '.join(names[:3])}" for word, names in (("lacks", missing), ("has", extra)) if names)
