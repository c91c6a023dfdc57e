"""The README's gallery: `make gallery` regenerates it, with the preset `default` next to TensorFlow's tutorial.

A strip shows the photo and the style image, small, then the result of the tutorial and that of Easel, both with the
same size, weights and CPU time. Pairs whose images are not on this machine are skipped with a message.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

from shared.imaging.encoding import encode_jpeg, to_image
from shared.imaging.images import decode, to_array
from shared.presets import PRESETS
from shared.recipe import Recipe
from shared.samples import sample_photo
from worker.engine import Iterate, stylize
from worker.engine.weights.sources import Weights, resolve_weights

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = ROOT / "deploy" / "samples"
SIBLING_IMAGES: Final = ROOT.parent / "shared" / "images"
"""The folder of two well-known images that are too large for the repository."""

report: Final = Console(highlight=False).print

_GAP, _CAPTION, _MAX_PIXELS = 6, 20, 100_000_000


@dataclass(frozen=True)
class Pair:
    """A photo and a style image with their credits."""

    name: str
    content: Callable[[], Image.Image]
    style: Callable[[], Image.Image]
    credit: str


PAIRS: Final = (
    Pair(
        "neckarfront-starry-night",
        lambda: _open(SIBLING_IMAGES / "neckarfront.jpg"),
        lambda: _open(SIBLING_IMAGES / "starry_night.jpg"),
        "Neckarfront in Tuebingen: Andreas Praefcke, CC BY 3.0. The Starry Night: Vincent van Gogh, 1889.",
    ),
    Pair(
        "cat-poppies",
        lambda: _open(sample_photo("chelsea")),
        lambda: _open(SAMPLES / "poppies.jpg"),
        "Chelsea: Stefan van der Walt, CC0. Poppies: deploy/samples, CC0.",
    ),
    Pair(
        "coffee-tide",
        lambda: _open(sample_photo("coffee")),
        lambda: _open(SAMPLES / "tide.jpg"),
        "Espresso: Rachel Michetti, CC0. Tide: deploy/samples, CC0.",
    ),
)


def main() -> None:
    """`python -m benchmarks.gallery [NAME...]`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gallery", description="Regenerate the README's gallery."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(pair.name for pair in PAIRS))
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--size", type=int, default=PRESETS["default"].size)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gallery")
    options = parser.parse_args()
    weights = resolve_weights(options.weights, cache=ROOT / "var" / "cache")
    report(weights.describe())
    options.out.mkdir(parents=True, exist_ok=True)
    for pair in (pair for pair in PAIRS if not options.names or pair.name in options.names):
        _write_strip(pair, weights, options.size, options.out / f"{pair.name}.jpg")


def _write_strip(pair: Pair, weights: Weights, size: int, out: Path) -> None:
    try:
        content, style = pair.content(), pair.style()
    except FileNotFoundError as missing:
        report(f"{pair.name}: skipped, {missing.filename} does not exist")
        return
    default, seconds = _render(content, style, PRESETS["default"].model_copy(update={"size": size}), weights)
    tutorial, _ = _render(content, style, PRESETS["tutorial"].model_copy(update={"size": size}), weights, seconds)
    strip = _strip(content, style, to_image(tutorial.image), to_image(default.image), pair.credit)
    out.write_bytes(encode_jpeg(strip, quality=88))
    report(f"{out.name}: {seconds:.0f} s of CPU time; default {default.step} steps, tutorial {tutorial.step}")


def _render(
    content: Image.Image, style: Image.Image, recipe: Recipe, weights: Weights, limit: float = float("inf")
) -> tuple[Iterate, float]:
    """Return the last Iterate within `limit` seconds of CPU time, which other processes do not affect, and the time."""
    started, last = time.process_time(), None
    for iterate in stylize(to_array(content), [to_array(style)], recipe, weights=weights):
        if last and time.process_time() - started > limit:
            break
        last = iterate
    assert last is not None
    return last, time.process_time() - started


def _strip(
    content: Image.Image, style: Image.Image, tutorial: Image.Image, default: Image.Image, credit: str
) -> Image.Image:
    """Combine the inputs at half size, the tutorial's result and the default one, with captions and the credit."""
    width, height = default.size
    side = (width - _GAP) // 2
    strip = Image.new("RGB", (side + 2 * (width + _GAP), height + 2 * _CAPTION), "white")
    for top, image in zip((0, (height + _GAP) // 2), (content, style), strict=True):
        strip.paste(_cover(image, (side, (height - _GAP) // 2)), (0, top))
    strip.paste(tutorial, (side + _GAP, 0))
    strip.paste(default, (side + width + 2 * _GAP, 0))
    for left, top, text in _captions(side, width, height, credit):
        ImageDraw.Draw(strip).text((left, top), text, fill="black", font=ImageFont.load_default(13))
    return strip


def _captions(side: int, width: int, height: int, credit: str) -> Iterator[tuple[int, int, str]]:
    yield 0, height + 3, "photo, style image"
    yield side + _GAP, height + 3, "TensorFlow's tutorial, in the same time"
    yield side + width + 2 * _GAP, height + 3, 'Easel, preset "default"'
    yield 0, height + _CAPTION + 2, credit


def _cover(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale the image to cover `size` and crop it around its center."""
    scale = max(size[0] / image.width, size[1] / image.height)
    width, height = round(image.width * scale), round(image.height * scale)
    left, top = (width - size[0]) // 2, (height - size[1]) // 2
    scaled = image.resize((width, height), Image.Resampling.LANCZOS)
    return scaled.crop((left, top, left + size[0], top + size[1]))


def _open(path: Path) -> Image.Image:
    return decode(path.read_bytes(), max_pixels=_MAX_PIXELS)


if __name__ == "__main__":
    main()
