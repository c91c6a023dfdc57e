"""`PYTHONPATH=tests .venv/bin/python -m benchmarks.decoding`: what decoding an upload of 64 megapixels takes.

Prints the rows of the table in docs/how-to/files.md. Each file is decoded in a new process, as the API does it.
"""

import multiprocessing
import resource
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from PIL import Image, ImageFile
from rich.console import Console

from shared.inputs.input_images import decode_image

report: Final = Console(highlight=False).print
progress: Final = Console(highlight=False, stderr=True).print
_SIDE: Final = 8000
_FILES: Final[dict[str, dict[str, Any]]] = {
    "baseline JPEG": {"format": "JPEG", "quality": 90},
    "progressive JPEG, full chroma": {"format": "JPEG", "quality": 90, "progressive": True, "subsampling": 0},
    "PNG": {"format": "PNG", "compress_level": 1},
    "PNG with alpha": {"format": "PNG", "compress_level": 1},
}


def main() -> None:
    """Make the files and decode each."""
    progress("making the files ...")
    ImageFile.MAXBLOCK = 2**28  # Pillow's encoder needs room for a progressive JPEG
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE // 8, _SIDE // 8, 3), np.uint8)
    image = Image.fromarray(noise).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
    with TemporaryDirectory() as folder:
        for name, options in _FILES.items():
            path = Path(folder, name)
            (image.convert("RGBA") if "alpha" in name else image).save(path, **options)
            progress(f"decoding a {name} ...")
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                peak, seconds = pool.apply(_decode, (path,))
            report(f"| {name} | {peak:,.0f} MiB | {seconds:.1f} s |")


def _decode(path: Path) -> tuple[float, float]:
    """Return (peak memory in MiB, processor seconds)."""
    data, start = path.read_bytes(), time.process_time()
    decode_image(data, _SIDE**2)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10), time.process_time() - start


if __name__ == "__main__":
    main()
