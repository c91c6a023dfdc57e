"""The pictures of docs/how-to/controls.md: `python -m benchmarks.controls`, a part of `make gallery`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from rich.console import Console
from support.image_files import decode_png

from benchmarks.gallery import ROOT, SAMPLES
from benchmarks.quality.pairs import sheet
from shared.imaging.images import decode
from shared.imaging.transparency import encode_rendered_png, separate_alpha
from shared.presets import resolve
from shared.recipe import Recipe
from shared.samples import sample_photo
from worker.engine import stylize
from worker.engine.cache import Cache
from worker.engine.weights.sources import Weights, resolve_weights

report: Final = Console(highlight=False).print
Pixels = NDArray[np.uint8]

_OUT: Final = ROOT / "docs" / "how-to" / "controls"
_HEIGHT: Final = 200
_STRIPS: Final[dict[str, Sequence[dict[str, Any]]]] = {
    "weights": [{"preset": "gentle"}, {"preset": "default"}, {"preset": "strong"}],
    "style-loss": [{"style_loss": "gram"}, {"style_loss": "wasserstein", "style_weight": 8}],
    "match": [{"match_weight": 0}, {"match_weight": 2}, {"match_weight": 8}],
    "averaging": [{"averaging": 0}, {"averaging": 0.9}],
    "style-scale": [{"style_scale": 0.5}, {"style_scale": 1}, {"style_scale": 2}],
    "color": [{"color": "style"}, {"color": "content"}, {"color": "match"}],
    "color-strength": [{"color": "content", "color_strength": strength} for strength in (0, 0.5, 1)],
    "init": [{"init": "content"}, {"init": "noise", "steps": 150}, {"init": "patches"}],
}


def main() -> None:
    """Write all strips."""
    weights, cache = resolve_weights("auto", cache=ROOT / "var" / "cache"), Cache()
    report(weights.describe())
    _OUT.mkdir(exist_ok=True)
    photo, poppies = _open(sample_photo("chelsea")), _open(SAMPLES / "poppies.jpg")
    for name, variants in _STRIPS.items():
        results = {_caption(fields): _render(photo, [poppies], fields, weights, cache) for fields in variants}
        _write(name, {"photo": photo, "painting": poppies, **results})
    mask, tide = _cat_mask(photo.shape[:2]), _open(SAMPLES / "tide.jpg")
    labels = np.where(mask > 127, 255, 0).astype(np.uint8)
    masks = [255 - labels, labels]
    regions = _render(photo, [tide, poppies], {}, weights, cache, masks=masks)
    _write("masks", {"mask": labels, "style 1, dark": tide, "style 2, bright": poppies, "result": regions})
    part = _render(photo, [poppies], {}, weights, cache, masks=[255 - mask])
    _write("part", {"mask": 255 - mask, "style": poppies, "result": part})
    sky = np.zeros(poppies.shape[:2], np.uint8)
    sky[: round(0.38 * len(sky))] = 255
    whole, upper = (_render(photo, [style], {}, weights, cache) for style in (poppies, np.dstack([poppies, sky])))
    _write("style-mask", {"style": poppies, "style mask": sky, "without the mask": whole, "with it": upper})
    shares = {f"style_mix: {mix}": {"style_mix": mix} for mix in ([1, 0], [1, 1], [0, 1])}
    mixed = {caption: _render(photo, [tide, poppies], fields, weights, cache) for caption, fields in shares.items()}
    _write("style-mix", {"style 1": tide, "style 2": poppies, **mixed})
    _write_transparency(np.dstack([photo, mask]), whole)
    _write_iterations(photo, poppies, weights, cache)


def _write_transparency(photo: Pixels, result: Pixels) -> None:
    """Show a photo with an alpha channel, and its result, over a checkerboard."""
    _, alpha = separate_alpha(photo)
    attached = decode_png(encode_rendered_png((result / 255).astype(np.float32), alpha, Recipe()))
    _write("transparency", {"photo": _over_checkerboard(photo), "result": _over_checkerboard(attached)})


def _write_iterations(photo: Pixels, style: Pixels, weights: Weights, cache: Cache) -> None:
    """Show the images that `save_every` saves."""
    recipe = resolve({"preset": "fast", "size": 256, "save_every": 5})
    iterates = stylize(photo, [style], recipe, weights=weights, cache=cache)
    saved = {f"step {it.step}": _pixels(it.image) for it in iterates if recipe.saves(it.step)}
    _write("iterations", saved)


def _over_checkerboard(image: NDArray[Any]) -> Pixels:
    rows, columns = np.indices(image.shape[:2]) // 16
    board = np.where((rows + columns) % 2, 255, 204)[..., np.newaxis]
    alpha = image[..., 3:] / 255
    blended: Pixels = np.rint(alpha * image[..., :3] + (1 - alpha) * board).astype(np.uint8)
    return blended


def _pixels(image: NDArray[np.float32]) -> Pixels:
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _render(
    photo: Pixels,
    styles: Sequence[Pixels],
    fields: dict[str, Any],
    weights: Weights,
    cache: Cache,
    *,
    masks: Sequence[Pixels] = (),
) -> Pixels:
    recipe = resolve({"preset": "fast", "size": 256, **fields})
    *_, last = stylize(photo, styles, recipe, weights=weights, cache=cache, masks=masks)
    return _pixels(last.image)


def _cat_mask(size: tuple[int, ...]) -> Pixels:
    """Return a soft mask drawn around the cat's head, white inside."""
    height, width = size
    mask = Image.new("L", (width, height))
    outline = [(0.22, 1), (0.1, 0.55), (0.12, 0), (0.82, 0), (0.93, 0.1), (0.88, 0.45), (0.7, 1)]
    ImageDraw.Draw(mask).polygon([(x * width, y * height) for x, y in outline], fill=255)
    return np.asarray(mask.filter(ImageFilter.GaussianBlur(8)))


def _caption(fields: dict[str, Any]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())


def _write(name: str, images: dict[str, Pixels]) -> None:
    sheet(images, _HEIGHT).save(_OUT / f"{name}.jpg", quality=88)
    report(f"{name}.jpg")


def _open(path: Path) -> Pixels:
    return np.asarray(decode(path.read_bytes(), max_pixels=100_000_000))


if __name__ == "__main__":
    main()
