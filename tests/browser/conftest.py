"""One browser and one house a module: Valkey, the API as a process of its own, and workers with a gradual engine."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from pydantic import SecretStr
from support.fixtures.api import Server
from support.fixtures.valkey import Valkey
from support.fixtures.worker import Rig
from support.requirements import ROOT, part_missing

from browser.acts import KEY

STEP_SECONDS = 0.02
SOON = 15_000  # milliseconds that a busy machine may take for what is done in an instant
expect.set_options(timeout=SOON)
_FLAGS = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
_CHROMIUM = ("/usr/bin/chromium", shutil.which("chromium"), shutil.which("google-chrome"))


class House(Rig):
    """The whole behind the pages; the API can leave and come back at the same address."""

    command = ("browser.worker",)

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__(folder, redis_url, folder / "no-weights.h5")
        self.environment = {
            "STEP_SECONDS": str(STEP_SECONDS),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)]),
        }
        self.server = Server(self.settings, folder / "api.log")
        self.url = self.server.url

    def restart_api(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        port = int(self.url.rpartition(":")[2])
        self.server.stop()
        meanwhile()
        self.server = Server(self.settings, self.folder / "api.log", port=port)

    def close(self) -> None:
        for worker in self.workers.values():
            worker.terminate()  # so that it leaves while the API does
        self.server.stop()
        self.stop()


def chromium(playwright: Playwright) -> Browser:
    """The browser of the system, started."""
    found = next((path for path in _CHROMIUM if path and Path(path).exists()), None)
    if found is None:
        part_missing("there is no Chromium here: apt-get install chromium")
    flags = [f"--{flag}" for flag in [*_FLAGS.split(), "disable-sync"]]
    return playwright.chromium.launch(executable_path=found, args=flags)


@pytest.fixture(scope="package")  # while Playwright runs, no other test of this process can use asyncio
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def house(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with valkey.client() as client:
        client.flushall()
    house = House(tmp_path_factory.mktemp("house"), valkey.url)
    yield house
    house.close()


@pytest.fixture(scope="module")
def painter(house: House) -> House:
    """The house with somebody at work."""
    house.start_worker("ada")
    return house


@pytest.fixture(scope="module")
def guarded(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API over the same queue that asks for a key."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    settings = house.settings.model_copy(update={"api_keys": (SecretStr(KEY),)})
    server = Server(settings, folder / "api.log")
    yield server.url
    server.stop()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, house: House) -> Iterator[NewPage]:
    """Tabs of one visitor each. What the console complains of fails the test, unless it says that it may."""
    complaints: list[str] = []
    contexts = []

    def new(*, quiet: bool = True, **options: Any) -> Page:
        context = browser.new_context(base_url=house.url, reduced_motion="reduce", **options)
        context.set_default_timeout(SOON)
        contexts.append(context)
        page = context.new_page()
        if quiet:
            listen(page, complaints)
        return page

    yield new
    for context in contexts:
        context.close()
    assert complaints == []


def listen(page: Page, complaints: list[str]) -> None:
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()
