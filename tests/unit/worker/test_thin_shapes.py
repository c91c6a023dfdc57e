"""The API, the engine and `easel-worker stylize` accept the same shapes, and refuse others with the same message."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from shared.errors import ImageTooSmall
from shared.imaging.encoding import encode_png
from shared.imaging.images import MIN_SIDE
from shared.inputs.decoder_pool import DecoderPool
from shared.inputs.reader import InputReader
from shared.inputs.sources import ImageSources
from shared.inputs.uploaded import UploadedImages
from shared.jobs.estimate import result_size
from shared.presets import resolve
from shared.recipe import Recipe
from shared.settings import Settings
from shared.storage.memory import MemoryBlobStore
from worker.engine import stylize
from worker.stylize_command import run

SIZES = st.tuples(st.integers(32, 40), st.floats(1, 140), st.booleans()).map(
    lambda shape: (shape[0], round(shape[0] * shape[1]))[:: -1 if shape[2] else 1]
)
"""(width, height), from squares to threads."""
PRESETS = st.sampled_from(["patches", "fast", "strong", "tutorial"])


def image(size: tuple[int, int]) -> bytes:
    return encode_png(Image.linear_gradient("L").resize(size))


def pixels(size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.linear_gradient("L").resize(size).convert("RGB"))


def refusal(action: Callable[[], Any]) -> str | None:
    try:
        action()
    except ImageTooSmall as error:
        return error.detail
    return None


@pytest.fixture(scope="module")
def reader() -> InputReader:
    return InputReader(DecoderPool(Settings()), UploadedImages(MemoryBlobStore(), "default", 60), "test")


def refusal_of_api(reader: InputReader, photo: tuple[int, int], style: tuple[int, int], recipe: Recipe) -> str | None:
    return refusal(lambda: reader.read(ImageSources(io.BytesIO(image(photo)), (io.BytesIO(image(style)),)), recipe))


@settings(max_examples=30)
@given(photo=SIZES, style=SIZES, preset=PRESETS, size=st.integers(64, 512))
def test_the_api_and_the_engine_agree_on_every_shape(
    reader: InputReader, photo: tuple[int, int], style: tuple[int, int], preset: str, size: int
) -> None:
    recipe = resolve({"preset": preset, "size": size})
    refused = refusal_of_api(reader, photo, style, recipe)
    assert refusal(lambda: stylize(pixels(photo), [pixels(style)], recipe, weights=None)) == refused
    assert refused or min(result_size(recipe, *photo)) >= MIN_SIDE


@pytest.mark.parametrize(
    ("photo", "style", "accepted"),
    [((64, 32), (32, 384), True), ((32, 384), (64, 64), False), ((64, 64), (4200, 32), False)],
    ids=["thin style", "thin photo", "thread as style"],
)
def test_the_command_agrees_with_the_api(
    reader: InputReader, tmp_path: Path, photo: tuple[int, int], style: tuple[int, int], *, accepted: bool
) -> None:
    recipe = resolve({"preset": "patches", "size": 64})
    for name, size in (("photo.png", photo), ("style.png", style)):
        (tmp_path / name).write_bytes(image(size))
    out = tmp_path / "out.png"
    refused = refusal(lambda: run(tmp_path / "photo.png", [tmp_path / "style.png"], recipe, None, out))
    assert refused == refusal_of_api(reader, photo, style, recipe)
    assert out.exists() == accepted == (refused is None)
    if accepted:
        assert result_size(recipe, *photo) == (64, 32)
