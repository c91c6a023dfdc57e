"""Submissions of ever larger photos, while simulated workers run the jobs that come of them."""

import io
from itertools import repeat
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.service.finding import Chart, Finding, Say
from benchmarks.service.load_client import Load, talk
from benchmarks.stack import House

_WORKERS: Final = 8
_SIZES: Final = {10_000: (204, 153), 100_000: (620, 465), 1_000_000: (1920, 1440)}
"""Bytes of a JPEG, about, and its width and height in pixels."""
_SENDERS: Final = 2
_BOUNDARY: Final = b"a-boundary-that-no-photo-has"
_RECIPE: Final = b'{"preset": "fast", "size": 96}'


def _photo(size: tuple[int, int]) -> bytes:
    """A JPEG with as much in it as a photo has: smooth shapes, and grain."""
    random = np.random.default_rng(0)
    shapes = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, 12, (size[1], size[0], 3))
    target = io.BytesIO()
    noisy = np.clip(np.asarray(shapes) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(target, "JPEG", quality=90)
    return target.getvalue()


def _submission(image: bytes) -> bytes:
    """A request with this photo as content and as style."""
    parts = [(b'name="content"; filename="a.jpg"', image), (b'name="style"; filename="b.jpg"', image)]
    parts += [(b'name="recipe"', _RECIPE)]
    told = b"".join(
        b"--" + _BOUNDARY + b"\r\nContent-Disposition: form-data; " + name + b"\r\n\r\n" + data + b"\r\n"
        for name, data in parts
    )
    body = told + b"--" + _BOUNDARY + b"--\r\n"
    kind = b"multipart/form-data; boundary=" + _BOUNDARY
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def measure(say: Say, *, quick: bool) -> Finding:
    """Two senders, who wait for each answer, while simulated workers run what was sent before."""
    requests = 20 if quick else 100
    found: dict[int, Load] = {}
    with House.opened() as house:
        say(f"starting {_WORKERS} workers for submissions")
        house.crew(_WORKERS)
        for size, pixels in _SIZES.items():
            say(f"submitting photos of {size // 1000} kB")
            request = _submission(_photo(pixels))
            talk(house.address, repeat(request, 4), connections=_SENDERS)
            found[size // 1000] = talk(house.address, repeat(request, requests), connections=_SENDERS)
    curves = {
        "median": {size: 1e3 * load.p50 for size, load in found.items()},
        "p99": {size: 1e3 * load.p99 for size, load in found.items()},
    }
    title = f"submission of two photos, {_WORKERS} workers running"
    return Finding({}, [Chart("submissions", title, "kB a photo", "ms", curves)])
