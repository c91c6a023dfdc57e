"""Free photos for demos and for calibrating weights: data files of the scikit-image wheel.

Only the files are used; scikit-image itself is never imported, which would take a second and import SciPy.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from shared.errors import NotFound

_PHOTOS: Final = {
    "chelsea": "chelsea.png",  # a cat, 451x300; Stefan van der Walt, CC0
    "coffee": "coffee.png",  # an espresso on a wooden table, 600x400; Rachel Michetti, CC0
    "astronaut": "astronaut.png",  # Eileen Collins, 512x512; NASA, public domain
    "motorcycle": "motorcycle_left.png",  # in a garage, 741x500; Daniel Scharstein, CC0
    "rocket": "rocket.jpg",  # a launch at dusk, 640x427; SpaceX, CC0
}


def sample_photo(name: str) -> Path:
    """Return the path of an RGB photo: chelsea, coffee, astronaut, motorcycle or rocket.

    Raises NotFound for other names, or if the scikit-image wheel is not installed.
    """
    if name not in _PHOTOS:
        raise NotFound(f"Unknown sample photo {name!r}; choose one of {', '.join(_PHOTOS)}.")
    path = _folder() / _PHOTOS[name]
    if not path.is_file():
        raise NotFound(f"The installed scikit-image lacks {path.name}; run `make setup` to get the locked version.")
    return path


def sample_photos() -> list[Path]:
    """Return the paths of all photos, always in the same order. Raises NotFound like `sample_photo`."""
    return [sample_photo(name) for name in _PHOTOS]


def _folder() -> Path:
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise NotFound(
            "The sample photos come with scikit-image, which is not installed; install deploy/locks/worker.txt."
        )
    return Path(spec.origin).parent / "data"
