import subprocess
import sys

import pytest
from PIL import Image

from shared.errors import NotFound
from shared.samples import sample_photo, sample_photos


def test_every_sample_is_a_color_photo() -> None:
    for path in sample_photos():
        with Image.open(path) as photo:
            assert photo.mode == "RGB"
            assert min(photo.size) >= 300


def test_an_unknown_sample_is_rejected_with_the_known_names() -> None:
    with pytest.raises(NotFound, match="chelsea, coffee"):
        sample_photo("mona_lisa")


def test_finding_the_samples_does_not_import_scikit_image() -> None:
    code = "import sys; from shared.samples import sample_photos; sample_photos(); assert 'skimage' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
