"""VGG19's kernels as a file: the `.h5` layout of Keras' no-top VGG19, read and written without Keras.

A layer's group names its arrays, kernel first, in the attribute `weight_names`; Keras 2 and 3 (and the
file that Keras has handed out since 2016) differ only in those names.
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
"""ImageNet's mean colour as the Caffe original subtracted it, blue first, of 0..255."""

_WIDTH: Final = {"block1": 64, "block2": 128, "block3": 256, "block4": 512, "block5": 512}
KERNEL_SHAPES: Final = {
    layer: (3, 3, entering, leaving)
    for layer, (entering, leaving) in zip(
        VGG19_LAYERS, pairwise([3, *(_WIDTH[layer.partition("_")[0]] for layer in VGG19_LAYERS)]), strict=True
    )
}
"""HWIO."""


def load_kernels(path: Path) -> dict[str, tuple[Array, Array]]:
    """Every layer's (kernel, bias) by Keras' layer name, from shallow to deep.

    Kernels are float32 HWIO (3, 3, in, out), biases float32 (out,). Raises WeightsUnavailable
    for a file that is missing, damaged, or not a VGG19 without top.
    """
    try:
        with h5py.File(path, "r") as file:
            return _read(file, path)
    except FileNotFoundError as error:
        raise WeightsUnavailable(f"There is no weights file {path}; check the path.") from error
    except (OSError, KeyError, RuntimeError) as error:
        raise WeightsUnavailable(
            f"{path} is damaged or no HDF5 file ({error}); fetch it again, or use `imagenet` or `calibrated`."
        ) from error


def save_kernels(path: Path, kernels: Kernels) -> None:
    """Write `kernels` so that `keras.applications.VGG19(include_top=False, weights=path)` loads them.

    Equal kernels give equal bytes. Not atomic: write to a temporary name (see `made_once`).
    """
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [layer.encode() for layer in VGG19_LAYERS]
        for layer in VGG19_LAYERS:
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{layer}/kernel".encode(), f"{layer}/bias".encode()]
            for part, values in zip(("kernel", "bias"), kernels[layer], strict=True):
                group.create_dataset(f"{layer}/{part}", data=values, dtype="<f4")


def made_once(path: Path, make: Callable[[Path], None], *, right: Callable[[Path], bool] = Path.is_file) -> Path:
    """`path`, made by `make(temporary path)` unless what is there already is `right`; whole or not at all.

    Of several processes that ask at once one makes it and the others wait. The operating system drops a dead
    process's lock, and the next one overwrites what it left half done. Raises WeightsUnavailable where the folder
    cannot be written; what `make` raises passes through, unless it is an OSError.
    """
    if right(path):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(f"{path.name}.lock")):
            if not right(path):
                _make_whole(path, make)
    except OSError as error:
        raise WeightsUnavailable(
            f"The weights cannot be kept in {path.parent} ({error}); make it writable or choose another cache folder."
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_whole(path: Path, make: Callable[[Path], None]) -> None:
    part = path.with_name(f"{path.name}.part")
    try:
        make(part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(file: h5py.File, path: Path) -> dict[str, tuple[Array, Array]]:
    root = file.get("model_weights", file)  # a whole saved model keeps its weights one level down
    found = {_text(name) for name in root.attrs.get("layer_names", ()) if _arrays(root, name)}
    if found != set(VGG19_LAYERS):
        raise WeightsUnavailable(
            f"{path} does not hold VGG19 without its top in Keras' .h5 layout ({_difference(found)}); give the file "
            f"that Keras names vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5, or use `imagenet` or `calibrated`."
        )
    return {layer: _layer(root, layer, path) for layer in VGG19_LAYERS}


def _layer(root: h5py.Group, layer: str, path: Path) -> tuple[Array, Array]:
    arrays = [np.asarray(array, np.float32) for array in _arrays(root, layer)]
    shapes, expected = [array.shape for array in arrays], [KERNEL_SHAPES[layer], KERNEL_SHAPES[layer][3:]]
    if shapes != expected:
        raise WeightsUnavailable(f"{path} is not VGG19: {layer} has the shapes {shapes} where VGG19 has {expected}.")
    if not all(np.isfinite(array).all() for array in arrays):
        raise WeightsUnavailable(f"{path} is damaged: {layer} holds numbers that are not finite; fetch it again.")
    return arrays[0], arrays[1]


def _arrays(root: h5py.Group, layer: Any) -> list[h5py.Dataset]:
    group = root[_text(layer)]
    return [group[_text(name)] for name in group.attrs.get("weight_names", ())]


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _difference(found: set[str]) -> str:
    missing, extra = sorted(set(VGG19_LAYERS) - found), sorted(found - set(VGG19_LAYERS))
    return "; ".join(f"{word} {', '.join(names[:3])}" for word, names in (("lacks", missing), ("has", extra)) if names)
