"""Fixtures for all tests. Servers live in modules of their own beside this one."""

from pathlib import Path

import pytest
from hypothesis import settings
from missing import ROOT, part_missing

settings.register_profile("easel", deadline=None)  # a machine that has other work is no failure
settings.load_profile("easel")

pytest_plugins = [
    "fixtures_api",
    "fixtures_client",
    "fixtures_ledger",
    "fixtures_nvidia",
    "fixtures_s3",
    "fixtures_valkey",
    "fixtures_webhooks",
    "fixtures_worker",
    # These stand on others of them.
    "by_hand",
    "fixtures_blobs",
    "fixtures_history",
]


@pytest.fixture(scope="session")
def beside() -> Path:
    """The folder `shared` beside the checkout: weights, photos and reference figures too large to be kept in it."""
    folder = ROOT.parent / "shared"
    return folder if folder.is_dir() else part_missing(f"{folder} is not here")
