"""The small pictures of the studio: `python -m benchmarks.page_pictures`, a part of `make gallery`.

What each control does, at both of its ends, and the examples of an empty studio.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from rich.console import Console

from benchmarks.gallery import ROOT, SAMPLES
from shared.imaging.images import decode
from shared.presets import resolve
from shared.samples import sample_photo
from worker.engine import stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import resolve_weights

report: Final = Console(highlight=False).print
_OUT: Final = ROOT / "api" / "web" / "studio"
_STYLE_WEIGHT: Final = 20
_CONTROLS: Final[dict[str, dict[str, Any]]] = {
    "strength-low": {"style_weight": _STYLE_WEIGHT / 8},
    "strength-high": {"style_weight": _STYLE_WEIGHT * 8},
    "strokes-small": {"style_scale": 0.5},
    "strokes-large": {"style_scale": 2},
    "color-style": {"color": "style"},
    "color-content": {"color": "content"},
    "color-match": {"color": "match"},
    "size-small": {"size": 112},
    "size-large": {"size": 448},
}
_THUMBNAIL: Final = (168, 112)
_DETAIL: Final = (0.18, 0.1, 0.62, 0.54)  # of the photo, for the controls whose effect is small
_EXAMPLES: Final[dict[str, Callable[[], Path]]] = {
    "cat": lambda: sample_photo("chelsea"),
    "coffee": lambda: sample_photo("coffee"),
    "rocket": lambda: sample_photo("rocket"),
    **{name: partial(SAMPLES.joinpath, f"{name}.jpg") for name in ("tide", "starlit", "poppies")},
}
_MAX_SIDE: Final = 512
"""Of an example, in pixels."""


def main() -> None:
    """Write all pictures."""
    weights, cache = resolve_weights("auto", cache=ROOT / "var" / "cache"), Cache()
    report(weights.describe())
    pictures, examples = _OUT / "pictures", _OUT / "examples"
    for folder in (pictures, examples):
        folder.mkdir(exist_ok=True)
    photo, painting = (np.asarray(_open(path)) for path in (sample_photo("chelsea"), SAMPLES / "tide.jpg"))
    for name, fields in _CONTROLS.items():
        recipe = resolve({"preset": "fast", "size": 256, **fields})
        *_, last = stylize(photo, [painting], recipe, weights=weights, cache=cache)
        image = Image.fromarray(np.rint(255 * np.clip(last.image, 0, 1)).astype(np.uint8))
        _save(_thumbnail(image, whole=name.startswith("color")), pictures / f"{name}.webp", quality=72)
    for name, path in _EXAMPLES.items():
        image = _open(path())
        image.thumbnail((_MAX_SIDE, _MAX_SIDE), Image.Resampling.LANCZOS)
        _save(image, examples / f"{name}.webp", quality=74)


def _open(path: Path) -> Image.Image:
    return decode(path.read_bytes(), max_pixels=100_000_000)


def _thumbnail(image: Image.Image, *, whole: bool) -> Image.Image:
    box = (0.0, 0.0, 1.0, 1.0) if whole else _DETAIL
    left, top, right, bottom = (share * side for share, side in zip(box, image.size * 2, strict=True))
    return image.resize(_THUMBNAIL, Image.Resampling.BICUBIC, box=(left, top, right, bottom))


def _save(image: Image.Image, path: Path, *, quality: int) -> None:
    image.save(path, quality=quality, method=6)
    report(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
