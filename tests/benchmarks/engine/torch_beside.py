"""PyTorch as a peer, with what it reads; imports no TensorFlow, which is not there where a GPU is measured."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.processes import Peer, beside

_PEER: Final = Path(__file__).with_name("torch_peer.py")


@contextmanager
def torch_beside(
    python: str, images: Mapping[str, np.ndarray], kernels: Mapping[str, np.ndarray], device: str = "cpu"
) -> Iterator[Peer]:
    """By this interpreter; `images` are `content` and `style`, (height, width, 3) in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        pictures, parts = Path(folder, "images.npz"), Path(folder, "kernels.npz")
        batches = {name: image[np.newaxis] for name, image in images.items()}
        np.savez(pictures, **batches)  # type: ignore[arg-type]  # its second parameter is no array
        np.savez(parts, **kernels)  # type: ignore[arg-type]  # the same
        with beside(python, str(_PEER), str(pictures), str(parts), device) as peer:
            yield peer
