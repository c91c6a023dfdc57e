"""The project's own paintings: the same each time, painted to the border, and rich enough to be a style."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.painter import PAINTINGS, main, paint
from deploy.paintings.strokes import Canvas, Scene, Strokes, scattered
from shared.errors import BadInput


def _plain(columns: int = 40, rows: int = 20) -> Scene:
    """Two halves, left dark and right light, stroked downwards."""
    sheet = np.zeros((rows, columns))
    left = np.arange(columns)[None] < columns // 2
    return Scene(
        region=np.where(left, 0, 1) + sheet.astype(int),
        tone=sheet + 0.5,
        angle=sheet + np.pi / 2,
        brush=sheet + 1,
        palettes=(np.zeros((2, 3)), np.ones((2, 3))),
        spread=np.zeros(2),
        stray=np.array([0, 1]),
        share=np.zeros(2),
        dabs=(),
    )


@pytest.fixture(scope="module", params=PAINTINGS)
def painting(request: pytest.FixtureRequest) -> tuple[str, Image.Image]:
    return request.param, paint(request.param, longest=128)


def test_a_painting_is_rgb_and_as_long_as_asked(painting: tuple[str, Image.Image]) -> None:
    _, picture = painting
    assert picture.mode == "RGB"
    assert max(picture.size) == 128


def test_the_same_name_and_seed_give_the_same_pixels(painting: tuple[str, Image.Image]) -> None:
    name, picture = painting
    assert paint(name, longest=128).tobytes() == picture.tobytes()


def test_another_seed_gives_another_painting() -> None:
    assert paint("starlit", longest=64, seed=1).tobytes() != paint("starlit", longest=64, seed=2).tobytes()


def test_another_size_is_the_same_painting(painting: tuple[str, Image.Image]) -> None:
    name, picture = painting
    larger = paint(name, longest=192).resize(picture.size, Image.Resampling.BOX)
    apart = np.abs(np.asarray(larger, float) - np.asarray(picture, float)).mean()
    assert apart < 16  # of 255; measured 10; another seed is 40 apart


def test_a_painting_has_contrast_and_colour_in_every_quarter_and_at_the_border(
    painting: tuple[str, Image.Image],
) -> None:
    pixels = np.asarray(painting[1], float) / 255
    rows, columns = pixels.shape[0] // 2, pixels.shape[1] // 2
    quarters = [pixels[r : r + rows, c : c + columns] for r in (0, rows) for c in (0, columns)]
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    for part in (*quarters, border):
        assert part.mean(axis=-1).std() > 0.08
        assert (part.max(axis=-1) - part.min(axis=-1)).mean() > 0.15


def test_strokes_stop_where_another_region_begins() -> None:
    rng = np.random.default_rng(0)
    scene = _plain()
    crossing = Scene(**{**vars(scene), "angle": np.zeros_like(scene.angle)})
    canvas = Canvas(crossing, 160, rng)
    canvas.lay(scattered(crossing, 0.06, 0.4, 6, rng))
    pixels = np.asarray(canvas.picture(80), float)
    assert pixels[:, :34].max() < 90  # black, but for the light on the relief
    assert pixels[:, 46:].min() > 150


def test_paint_covers_the_canvas() -> None:
    rng = np.random.default_rng(0)
    scene = _plain()
    canvas = Canvas(Scene(**{**vars(scene), "palettes": (np.ones((2, 3)), np.ones((2, 3)))}), 160, rng)
    strokes = scattered(scene, 0.06, 0.3, 8, rng)
    canvas.lay(Strokes(**{**vars(strokes), "palette": np.zeros(len(strokes.width), int)}))
    assert (canvas._height > 0.1).mean() > 0.97


def test_no_strokes_are_no_work() -> None:
    none = np.zeros(0)
    canvas = Canvas(_plain(), 40, np.random.default_rng(0))
    canvas.lay(Strokes(np.zeros((0, 13, 2)), none, none.astype(int), none, none, none))
    assert canvas.picture(20).size == (20, 10)


def test_an_unknown_painting_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(BadInput, match="starlit, poppies, tide"):
        paint("mona lisa")


def test_the_command_writes_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "tide.png"
    monkeypatch.setattr("sys.argv", ["painter", "tide", str(out), "--longest", "64"])
    main()
    with Image.open(out) as picture:
        assert picture.size == (64, 51)
