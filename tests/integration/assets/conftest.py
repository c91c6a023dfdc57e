"""A server with images, and what fetches them."""

from collections.abc import Iterator

import pytest
from support.fixtures.api import PHOTO
from support.scripted_server import ScriptedServer, reply, serve

from shared.services import Services
from shared.settings import Settings
from worker.assets.input_fetcher import InputFetcher


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"fetch_private": True, "fetch_seconds": 20})


@pytest.fixture
def web() -> Iterator[ScriptedServer]:
    """Serve the photo, whatever the path."""
    with serve(reply(PHOTO)) as server:
        yield server


@pytest.fixture
def fetcher(services: Services) -> InputFetcher:
    return InputFetcher(services)
