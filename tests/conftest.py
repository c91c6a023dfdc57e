"""Loads the fixtures of tests/support for all tests."""

from pathlib import Path

import pytest
from hypothesis import settings
from support.requirements import ROOT, part_missing

settings.register_profile("easel", deadline=None)  # a slow machine is not a failure
settings.load_profile("easel")

pytest_plugins = [
    "support.fixtures.api",
    "support.fixtures.client",
    "support.fixtures.ledger",
    "support.fixtures.nvidia",
    "support.fixtures.s3",
    "support.fixtures.tracing",
    "support.fixtures.valkey",
    "support.fixtures.webhooks",
    "support.fixtures.worker",
    # These use fixtures of the modules above.
    "support.fake_worker",
    "support.fixtures.blobs",
    "support.fixtures.history",
    "support.fixtures.tenants",
]


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder `shared` next to the checkout: weights, photos and reference values that are too large for it."""
    folder = ROOT.parent / "shared"
    return folder if folder.is_dir() else part_missing(f"{folder} does not exist")
