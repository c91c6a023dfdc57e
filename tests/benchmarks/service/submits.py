"""Submissions of larger and larger photos, while simulated workers run the submitted jobs."""

import io
from itertools import repeat
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.service.results import Chart, Measurement, Report
from benchmarks.service.support.load_client import Load, send_requests
from benchmarks.stack import BenchmarkStack

_WORKERS: Final = 8
_SIZES: Final = {10_000: (204, 153), 100_000: (620, 465), 1_000_000: (1920, 1440)}
"""The approximate bytes of a JPEG, and its width and height in pixels."""
_SENDERS: Final = 2
_BOUNDARY: Final = b"a-boundary-that-no-photo-contains"
_RECIPE: Final = b'{"preset": "fast", "size": 96}'


def _photo(size: tuple[int, int]) -> bytes:
    """Return a JPEG with as much detail as a photo: smooth shapes and grain."""
    random = np.random.default_rng(0)
    shapes = Image.fromarray(random.integers(0, 255, (6, 8, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, 12, (size[1], size[0], 3))
    target = io.BytesIO()
    noisy = np.clip(np.asarray(shapes) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(target, "JPEG", quality=90)
    return target.getvalue()


def _submission(image: bytes) -> bytes:
    """Return a request with this photo as content and as style."""
    parts = [(b'name="content"; filename="a.jpg"', image), (b'name="style"; filename="b.jpg"', image)]
    parts += [(b'name="recipe"', _RECIPE)]
    estimates = b"".join(
        b"--" + _BOUNDARY + b"\r\nContent-Disposition: form-data; " + name + b"\r\n\r\n" + data + b"\r\n"
        for name, data in parts
    )
    body = estimates + b"--" + _BOUNDARY + b"--\r\n"
    kind = b"multipart/form-data; boundary=" + _BOUNDARY
    head = b"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (kind, len(body)) + body


def measure(report: Report, *, quick: bool) -> Measurement:
    """Submit from two clients that wait for each response, while simulated workers run the earlier jobs."""
    requests = 20 if quick else 100
    loads: dict[int, Load] = {}
    with BenchmarkStack.run_temporarily() as stack:
        report(f"starting {_WORKERS} workers for submissions")
        stack.start_simulated_workers(_WORKERS)
        for size, pixels in _SIZES.items():
            report(f"submitting photos of {size // 1000} kB")
            request = _submission(_photo(pixels))
            send_requests(stack.address, repeat(request, 4), connections=_SENDERS)
            loads[size // 1000] = send_requests(stack.address, repeat(request, requests), connections=_SENDERS)
    curves = {
        "median": {size: 1e3 * load.p50 for size, load in loads.items()},
        "p99": {size: 1e3 * load.p99 for size, load in loads.items()},
    }
    title = f"submission of two photos, {_WORKERS} workers running"
    return Measurement({}, [Chart("submissions", title, "kB a photo", "ms", curves)])
