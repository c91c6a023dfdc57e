"""Fixtures for all tests. The fixtures themselves are in tests/support."""

from pathlib import Path

import pytest
from hypothesis import settings
from support.requirements import ROOT, part_missing

settings.register_profile("easel", deadline=None)  # a machine that has other work is no failure
settings.load_profile("easel")

pytest_plugins = [
    "support.fixtures.api",
    "support.fixtures.client",
    "support.fixtures.ledger",
    "support.fixtures.nvidia",
    "support.fixtures.s3",
    "support.fixtures.valkey",
    "support.fixtures.webhooks",
    "support.fixtures.worker",
    # These stand on others of them.
    "support.fake_worker",
    "support.fixtures.blobs",
    "support.fixtures.history",
]


@pytest.fixture(scope="session")
def beside() -> Path:
    """The folder `shared` beside the checkout: weights, photos and reference figures too large to be kept in it."""
    folder = ROOT.parent / "shared"
    return folder if folder.is_dir() else part_missing(f"{folder} is not here")
