"""Starts PyTorch as a peer with its inputs. Imports no TensorFlow, which is missing where a GPU is measured."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.processes import Peer, peer_process

_PEER: Final = Path(__file__).with_name("torch_peer.py")


@contextmanager
def start_torch_peer(
    python: str, images: Mapping[str, np.ndarray], kernels: Mapping[str, np.ndarray], device: str = "cpu"
) -> Iterator[Peer]:
    """Start a peer with this interpreter; `images` are `content` and `style`, (height, width, 3) in [0, 1]."""
    with tempfile.TemporaryDirectory() as folder:
        images_path, kernels_path = Path(folder, "images.npz"), Path(folder, "kernels.npz")
        batches = {name: image[np.newaxis] for name, image in images.items()}
        np.savez(images_path, **batches)  # type: ignore[arg-type]  # its second parameter is no array
        np.savez(kernels_path, **kernels)  # type: ignore[arg-type]  # the same
        with peer_process(python, str(_PEER), str(images_path), str(kernels_path), device) as peer:
            yield peer
