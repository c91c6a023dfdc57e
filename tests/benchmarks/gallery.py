"""The README's gallery: `make gallery` paints every pair anew, `default` beside TensorFlow's tutorial at equal time.

A strip shows the photo and the painting, small, then the tutorial's picture and ours, from the same size, weights and
processor time. Pairs whose images are not on this machine are left out, with a word.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

from shared.images import decode, encode_jpeg, to_array, to_image
from shared.recipe import PRESETS, Recipe
from shared.samples import sample_photo
from worker.engine import Iterate, stylize
from worker.engine.weights.sources import Weights, resolve_weights

ROOT: Final = Path(__file__).parents[2]
SAMPLES: Final = ROOT / "deploy" / "samples"
BESIDE: Final = ROOT.parent / "shared" / "images"
"""Where the project's own machines keep the two images that everyone in this field knows."""

say: Final = Console(highlight=False).print

_GAP, _CAPTION, _MAX_PIXELS = 6, 20, 100_000_000


@dataclass(frozen=True)
class Pair:
    """A photo, a painting, and whose they are."""

    name: str
    content: Callable[[], Image.Image]
    style: Callable[[], Image.Image]
    credit: str


PAIRS: Final = (
    Pair(
        "neckarfront-starry-night",
        lambda: _opened(BESIDE / "neckarfront.jpg"),
        lambda: _opened(BESIDE / "starry_night.jpg"),
        "Neckarfront in Tuebingen: Andreas Praefcke, CC BY 3.0. The Starry Night: Vincent van Gogh, 1889.",
    ),
    Pair(
        "cat-poppies",
        lambda: _opened(sample_photo("chelsea")),
        lambda: _opened(SAMPLES / "poppies.jpg"),
        "Chelsea: Stefan van der Walt, CC0. Poppies: deploy/samples, CC0.",
    ),
    Pair(
        "coffee-tide",
        lambda: _opened(sample_photo("coffee")),
        lambda: _opened(SAMPLES / "tide.jpg"),
        "Espresso: Rachel Michetti, CC0. Tide: deploy/samples, CC0.",
    ),
)


def main() -> None:
    """`python -m benchmarks.gallery [NAME...]`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gallery", description="Paint the README's gallery.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(pair.name for pair in PAIRS))
    parser.add_argument("--weights", default="auto")
    parser.add_argument("--size", type=int, default=PRESETS["default"].size)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "gallery")
    asked = parser.parse_args()
    weights = resolve_weights(asked.weights, cache=ROOT / "var" / "cache")
    say(weights.describe())
    asked.out.mkdir(parents=True, exist_ok=True)
    for pair in (pair for pair in PAIRS if not asked.names or pair.name in asked.names):
        _show(pair, weights, asked.size, asked.out / f"{pair.name}.jpg")


def _show(pair: Pair, weights: Weights, size: int, out: Path) -> None:
    try:
        content, style = pair.content(), pair.style()
    except FileNotFoundError as missing:
        say(f"{pair.name}: left out, {missing.filename} is not here")
        return
    ours, seconds = _painted(content, style, PRESETS["default"].model_copy(update={"size": size}), weights)
    theirs, _ = _painted(content, style, PRESETS["tutorial"].model_copy(update={"size": size}), weights, seconds)
    strip = _strip(content, style, to_image(theirs.image), to_image(ours.image), pair.credit)
    out.write_bytes(encode_jpeg(strip, quality=88))
    say(f"{out.name}: {seconds:.0f} s of processor time; default {ours.step} steps, tutorial {theirs.step}")


def _painted(
    content: Image.Image, style: Image.Image, recipe: Recipe, weights: Weights, limit: float = float("inf")
) -> tuple[Iterate, float]:
    """The last Iterate in `limit` seconds of processor time (the clock counts others' work too), and the seconds."""
    started, last = time.process_time(), None
    for iterate in stylize(to_array(content), [to_array(style)], recipe, weights=weights):
        if last and time.process_time() - started > limit:
            break
        last = iterate
    assert last is not None
    return last, time.process_time() - started


def _strip(
    content: Image.Image, style: Image.Image, theirs: Image.Image, ours: Image.Image, credit: str
) -> Image.Image:
    """Photo above painting at half size, the tutorial's picture, ours; a caption under each, the credit below."""
    width, height = ours.size
    side = (width - _GAP) // 2
    strip = Image.new("RGB", (side + 2 * (width + _GAP), height + 2 * _CAPTION), "white")
    for top, image in zip((0, (height + _GAP) // 2), (content, style), strict=True):
        strip.paste(_filled(image, (side, (height - _GAP) // 2)), (0, top))
    strip.paste(theirs, (side + _GAP, 0))
    strip.paste(ours, (side + width + 2 * _GAP, 0))
    for left, top, text in _captions(side, width, height, credit):
        ImageDraw.Draw(strip).text((left, top), text, fill="black", font=ImageFont.load_default(13))
    return strip


def _captions(side: int, width: int, height: int, credit: str) -> Iterator[tuple[int, int, str]]:
    yield 0, height + 3, "photo, painting"
    yield side + _GAP, height + 3, "TensorFlow's tutorial, in the same time"
    yield side + width + 2 * _GAP, height + 3, 'Easel, recipe "default"'
    yield 0, height + _CAPTION + 2, credit


def _filled(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The image scaled to cover `size`, and cropped to it around its middle."""
    scale = max(size[0] / image.width, size[1] / image.height)
    wide, high = round(image.width * scale), round(image.height * scale)
    left, top = (wide - size[0]) // 2, (high - size[1]) // 2
    scaled = image.resize((wide, high), Image.Resampling.LANCZOS)
    return scaled.crop((left, top, left + size[0], top + size[1]))


def _opened(path: Path) -> Image.Image:
    return decode(path.read_bytes(), max_pixels=_MAX_PIXELS)


if __name__ == "__main__":
    main()
