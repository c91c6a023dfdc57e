"""Resolves `EASEL_WEIGHTS` to a weights file.

| value | weights |
|---|---|
| a path | a Keras VGG19 no-top `.h5` |
| `imagenet` | the file that Keras downloads |
| `calibrated` | filters learned on this machine |
| `auto` | the best of these that is available |
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from shared.errors import EaselError, WeightsUnavailable
from shared.presets import BETTER_WEIGHTS
from worker.engine.weights.calibrated.calibrate import LEARNING_SECONDS, cached_calibrated_file, calibrated_file
from worker.engine.weights.download import download
from worker.engine.weights.hdf5 import create_once, load_kernels

Source = Literal["path", "imagenet", "calibrated"]
Progress = Callable[[str, float], None]
"""Called with a description of the work and the fraction done, 0 to 1."""

# Constants of Keras (keras/src/applications/vgg19.py). VGG weights: Visual Geometry Group, Oxford, CC BY 4.0.
IMAGENET_NAME: Final = "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL: Final = f"https://storage.googleapis.com/tensorflow/keras-applications/vgg19/{IMAGENET_NAME}"
IMAGENET_MD5: Final = "253f8cb515780f3b799900260a226db6"

SIBLING_FOLDER: Final = Path(__file__).parents[4] / "shared" / "weights"
"""`../shared/weights` relative to the repository's root. `auto` uses it if it exists."""

_TITLES: Final[dict[Source, str]] = {
    "path": "from a file",
    "imagenet": "ImageNet",
    "calibrated": "learned on this machine",
}


@dataclass(frozen=True)
class Weights:
    """A complete weights file of VGG19's shape."""

    source: Source
    path: Path  # a Keras VGG19 no-top .h5
    sha256: str  # of the file, in hex; part of every result's provenance

    def describe(self) -> str:
        """Return a one-line description."""
        description = f"VGG19 weights: {_TITLES[self.source]}, {self.path} (sha256 {self.sha256[:8]}…)."
        if self.source != "calibrated":
            return description
        return f"{description} {BETTER_WEIGHTS}"


def resolve_weights(
    spec: str, *, cache: Path, photos: Sequence[Path] | None = None, progress: Progress | None = None
) -> Weights:
    """Return the weights for `spec`: a path, `imagenet`, `calibrated` or `auto`.

    `cache` is the folder for downloaded and learned files. `calibrated` learns from `photos` (default: the sample
    photos). Only `imagenet` and `auto` use the network, with a timeout of 8 s. Raises WeightsUnavailable, whose message
    says how to fix it.
    """
    progress = progress or _ignore_progress
    source, path = _on_disk(spec, cache, photos) or _downloaded_or_learned(spec, cache, photos, progress)
    load_kernels(path)  # raises if the file is not a VGG19
    return Weights(source, path.absolute(), _digest(path, "sha256"))


def expected_seconds(spec: str, *, cache: Path) -> float:
    """Return the seconds that `resolve_weights` takes to learn the filters; 0 if it will not have to.

    For `auto`, a download is taken to last as long.
    """
    try:
        return LEARNING_SECONDS if spec in {"auto", "calibrated"} and not _on_disk(spec, cache, None) else 0.0
    except EaselError:  # no sample photos; a job reports it
        return 0.0


def _on_disk(spec: str, cache: Path, photos: Sequence[Path] | None) -> tuple[Source, Path] | None:
    """Return the weights that are there. Learned ones count: a resumed job needs the same, network or not."""
    match spec:
        case "auto":
            return _in_sibling_folder() or _on_disk("imagenet", cache, photos) or _on_disk("calibrated", cache, photos)
        case "imagenet":
            keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
            candidates = (keras_home / "models" / IMAGENET_NAME, cache / IMAGENET_NAME)
            path = next(filter(_is_imagenet, candidates), None)
            return ("imagenet", path) if path else None
        case "calibrated":
            path = cached_calibrated_file(cache, photos=photos)
            return ("calibrated", path) if path else None
    path = Path(spec).expanduser()
    return ("path", path) if path.is_file() else None


def _in_sibling_folder() -> tuple[Source, Path] | None:
    files = sorted(SIBLING_FOLDER.glob("*.h5"))
    return ("path", files[0]) if files else None


def _downloaded_or_learned(
    spec: str, cache: Path, photos: Sequence[Path] | None, progress: Progress
) -> tuple[Source, Path]:
    if spec not in {"auto", "imagenet", "calibrated"}:
        raise WeightsUnavailable(
            f"There is no weights file {Path(spec).expanduser()}; set the path of a Keras VGG19 no-top .h5, "
            "or one of `auto`, `imagenet`, `calibrated`."
        )
    if spec != "calibrated":
        try:
            return "imagenet", _download_imagenet(cache, progress)
        except WeightsUnavailable:
            if spec == "imagenet":
                raise
    return "calibrated", calibrated_file(cache, photos=photos, progress=progress)


def _download_imagenet(cache: Path, progress: Progress) -> Path:
    def fetch(part: Path) -> None:
        download(IMAGENET_URL, part, progress=lambda done: progress("downloading ImageNet weights", done))
        if not _is_imagenet(part):
            raise WeightsUnavailable(f"{IMAGENET_URL} did not return the file that Keras publishes; try again later.")

    return create_once(cache / IMAGENET_NAME, fetch, is_valid=_is_imagenet)


def _is_imagenet(path: Path) -> bool:
    return path.is_file() and _digest(path, "md5") == IMAGENET_MD5


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _ignore_progress(_description: str, _done: float) -> None:
    pass
