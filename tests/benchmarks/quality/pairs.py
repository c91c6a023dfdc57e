"""The pairs of photos and paintings, and sheets that show them with results.

`pairs.json` names them. `tuning` are those that recipes were chosen with, `calibrated` those that learned filters were
chosen with, `held_out` those that only votes use. Photos
without a file ending are scikit-image's. The files of `sources` are in public repositories on GitHub and not in this
one: put them in one folder, under the name after "as" where there is one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from benchmarks.gallery import SAMPLES, SIBLING_IMAGES
from shared.imaging.images import decode
from shared.samples import sample_photo

PAIRS: Final[Mapping[str, list[tuple[str, str]]]] = json.loads((Path(__file__).parent / "pairs.json").read_text())
_GAP, _CAPTION, _MAX_PIXELS = 6, 20, 100_000_000


def pair_name(pair: tuple[str, str]) -> str:
    """Return a name for files."""
    return "-".join(Path(part).stem for part in pair)


def find(name: str, images: Path | None) -> NDArray[np.uint8]:
    """Return an image of pairs.json, (height, width, 3). Raises FileNotFoundError."""
    folders = [folder for folder in (images, SAMPLES, SIBLING_IMAGES) if folder]
    path = (
        next((path for folder in folders if (path := folder / name).exists()), None)
        if Path(name).suffix
        else sample_photo(name)
    )
    if path is None:
        raise FileNotFoundError(name)
    return np.asarray(decode(path.read_bytes(), max_pixels=_MAX_PIXELS))


def sheet(images: Mapping[str, NDArray[np.uint8]], height: int) -> Image.Image:
    """Return all images in a row at this height, with their names as captions."""
    scaled = {name: Image.fromarray(image) for name, image in images.items()}
    scaled = {name: it.resize((round(it.width * height / it.height), height)) for name, it in scaled.items()}
    row = Image.new("RGB", (sum(image.width + _GAP for image in scaled.values()), height + _CAPTION), "white")
    left = 0
    for name, image in scaled.items():
        row.paste(image, (left, 0))
        ImageDraw.Draw(row).text((left, height + 3), name, fill="black", font=ImageFont.load_default(13))
        left += image.width + _GAP
    return row
