"""Paintings by the project's own hand: a style for whoever has none at hand.

`python -m deploy.painter starlit out.png`. Each painting is a scene (paints, tones, a field that the brush follows)
under a few layers of strokes. The same name and seed give the same painting at any size.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from deploy.paintings import poppies, starlit, tide
from deploy.paintings.strokes import Canvas, Scene, scattered, touched
from shared.errors import BadInput

_SCENES: Final[dict[str, Callable[[np.random.Generator], Scene]]] = {
    "starlit": starlit.compose,
    "poppies": poppies.compose,
    "tide": tide.compose,
}
PAINTINGS: Final = tuple(_SCENES)
"""The names that `paint` knows."""

_LAYERS: Final = ((0.055, 0.22, 1.5), (0.03, 0.15, 2.2), (0.018, 0.095, 1.7), (0.011, 0.06, 0.45))
"""Width and length of the brush's strokes, in units of the longest side, and how often they cover the canvas."""


def paint(name: str, *, longest: int = 512, seed: int = 0) -> Image.Image:
    """The painting `name`, one of PAINTINGS, as an RGB image whose longest side is `longest` pixels.

    About 4 s on one core at 512 pixels, with the square of the size. Raises BadInput for an unknown name.
    """
    if name not in PAINTINGS:
        raise BadInput(f"There is no painting {name!r}; choose one of {', '.join(PAINTINGS)}.")
    for_scene, for_strokes, for_bristles = np.random.default_rng(seed).spawn(3)
    scene = _SCENES[name](for_scene)
    canvas = Canvas(scene, 2 * longest, for_bristles)
    for width, length, cover in _LAYERS:
        canvas.lay(scattered(scene, width, length, cover, for_strokes))
    for dabs in scene.dabs:
        canvas.lay(touched(scene, dabs, for_strokes))
    return canvas.picture(longest)


def main() -> None:
    """`python -m deploy.painter NAME OUT.png`."""
    parser = argparse.ArgumentParser(prog="python -m deploy.painter", description="Paint a style of our own.")
    parser.add_argument("name", choices=PAINTINGS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--longest", type=int, default=512, help="pixels of the longest side")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    paint(asked.name, longest=asked.longest, seed=asked.seed).save(asked.out)


if __name__ == "__main__":
    main()
