"""What a test does if something that it needs is not installed: on CI it fails, elsewhere it is skipped."""

import os
from pathlib import Path
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT / "tests"), str(ROOT)])
"""For processes that import modules of the tests."""


def part_missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
