"""A VGG19 weights file as Keras 2 wrote it."""

from pathlib import Path

import h5py

from shared.recipe import VGG19_LAYERS
from worker.engine.weights.hdf5 import KERNEL_SHAPES


def keras_2_file(path: Path, *, value: float = 0.5, skip: str = "", extra: str = "") -> Path:
    """Write a file that is small on disk, because HDF5 stores only the fill value, and return its path."""
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
