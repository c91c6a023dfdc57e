"""Which VGG19 weights to use, and where they lie: `EASEL_WEIGHTS`.

A path to a Keras VGG19 no-top `.h5`; `imagenet`, the file that Keras itself downloads; `calibrated`, filters
learned on this machine; or `auto`, the best of these that can be had here.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shared.errors import WeightsUnavailable
from worker.engine.weights.download import download
from worker.engine.weights.hdf5 import load_kernels, made_once
from worker.engine.weights.learned.calibrate import calibrated_file, learned_before

Progress = Callable[[str, float], None]
"""Told (what is being done, the share of it that is done, 0 to 1)."""

# Keras' own constants (keras/src/applications/vgg19.py). VGG weights: Visual Geometry Group, Oxford, CC BY 4.0.
IMAGENET_NAME: Final = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL: Final = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{IMAGENET_NAME}"
IMAGENET_MD5: Final = "253f8cb515780f3b799900260a226db6"

BESIDE_CHECKOUT: Final = Path(__file__).parents[4] / "shared" / "weights"
"""`../shared/weights` as seen from the repository's root; seldom there, and used by `auto` if it is."""

_TITLES: Final = {
    "path": "from a file",
    "imagenet": "ImageNet",
    "calibrated": "calibrated on this machine, EASEL_WEIGHTS=imagenet downloads better ones",
}


@dataclass(frozen=True)
class Weights:
    """A weights file that was found whole and of VGG19's shape."""

    source: Literal["path", "imagenet", "calibrated"]
    path: Path  # a Keras VGG19 no-top .h5
    sha256: str  # of the file's bytes, in hex: part of every result's provenance

    def describe(self) -> str:
        """One line for people."""
        return f"VGG19 weights: {_TITLES[self.source]}, {self.path} (sha256 {self.sha256[:8]}…)"


def resolve_weights(
    spec: str, *, cache: Path, photos: Sequence[Path] | None = None, progress: Progress | None = None
) -> Weights:
    """The weights that `spec` asks for: a path, `imagenet`, `calibrated` or `auto`.

    `cache` is the folder for what is downloaded or learned; `photos` are what `calibrated` learns from (default: the
    sample photos). `imagenet` and `auto` are the only ones that use the network, and give up after 8 s of silence.
    Raises WeightsUnavailable with the fix named.
    """
    tell = progress or _tell_nobody
    match spec:
        case "auto":
            return _best_to_be_had(cache, photos, tell)
        case "imagenet":
            return _imagenet_on_disk(cache) or _download_imagenet(cache, tell)
        case "calibrated":
            return _checked("calibrated", calibrated_file(cache, photos=photos, progress=tell))
    return _given(Path(spec).expanduser())


def _best_to_be_had(cache: Path, photos: Sequence[Path] | None, tell: Progress) -> Weights:
    """What is on disk comes first, learned filters too: a resumed job needs the same weights, network or not."""
    on_disk = _beside_checkout() or _imagenet_on_disk(cache) or _learned_before(cache, photos)
    if on_disk:
        return on_disk
    try:
        return _download_imagenet(cache, tell)
    except WeightsUnavailable:
        return _checked("calibrated", calibrated_file(cache, photos=photos, progress=tell))


def _given(path: Path) -> Weights:
    if not path.is_file():
        raise WeightsUnavailable(
            f"There is no weights file {path}; give the path of a Keras VGG19 no-top .h5, "
            "or one of `auto`, `imagenet`, `calibrated`."
        )
    return _checked("path", path)


def _beside_checkout() -> Weights | None:
    found = sorted(BESIDE_CHECKOUT.glob("*.h5"))
    return _checked("path", found[0]) if found else None


def _imagenet_on_disk(cache: Path) -> Weights | None:
    keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    found = filter(_is_imagenet, (keras_home / "models" / IMAGENET_NAME, cache / IMAGENET_NAME))
    path = next(found, None)
    return _checked("imagenet", path) if path else None


def _learned_before(cache: Path, photos: Sequence[Path] | None) -> Weights | None:
    path = learned_before(cache, photos=photos)
    return _checked("calibrated", path) if path else None


def _download_imagenet(cache: Path, tell: Progress) -> Weights:
    def fetch(part: Path) -> None:
        download(IMAGENET_URL, part, progress=lambda share: tell("downloading ImageNet weights", share))
        if not _is_imagenet(part):
            raise WeightsUnavailable(f"What {IMAGENET_URL} sent is not the file that Keras publishes; try again later.")

    return _checked("imagenet", made_once(cache / IMAGENET_NAME, fetch, right=_is_imagenet))


def _is_imagenet(path: Path) -> bool:
    return path.is_file() and _digest(path, "md5") == IMAGENET_MD5


def _checked(source: Literal["path", "imagenet", "calibrated"], path: Path) -> Weights:
    load_kernels(path)  # raises for a file that no network can be built from
    return Weights(source, path.absolute(), _digest(path, "sha256"))


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _tell_nobody(_what: str, _share: float) -> None:
    pass
