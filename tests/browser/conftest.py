"""One browser per run and one stack per module: Valkey, the API in its own process, and workers with a fake engine."""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from pydantic import SecretStr
from support.fixtures.api import Server
from support.fixtures.valkey import Valkey
from support.fixtures.worker import WorkerRig
from support.requirements import PYTHONPATH, part_missing

from browser.actions import KEY, PHOTO, STYLE

STEP_SECONDS = 0.02
LONG = 4000  # steps: these jobs do not finish during a test
TIMEOUT = 15_000  # milliseconds; generous, for a busy machine
expect.set_options(timeout=TIMEOUT)
_FLAGS = "no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-component-update"
_CHROMIUM = ("/usr/bin/chromium", shutil.which("chromium"), shutil.which("google-chrome"))


class BrowserStack(WorkerRig):
    """The services behind the pages. The API can be restarted at the same address."""

    command = ("browser.worker",)

    def __init__(self, folder: Path, redis_url: str) -> None:
        super().__init__(folder, redis_url, folder / "no-weights.h5")
        self.environment = {
            "STEP_SECONDS": str(STEP_SECONDS),
            "PYTHONPATH": PYTHONPATH,
        }
        self.server = Server(self.settings, folder / "api.log")
        self.url = self.server.url

    def restart_api(self, while_stopped: Callable[[], None] = lambda: None) -> None:
        port = int(self.url.rpartition(":")[2])
        self.server.stop()
        while_stopped()
        self.server = Server(self.settings, self.folder / "api.log", port=port)

    def submit_batch(self, *, jobs: int, **recipe: Any) -> dict[str, Any]:
        """Submit a batch of small jobs, and return its status."""
        content, style = ({"base64": base64.b64encode(image).decode()} for image in (PHOTO, STYLE))
        common = {"preset": "fast", "init": "content", "size": 64, "steps": 6, **recipe}
        body = {
            "defaults": {"content": content, "styles": [style], "recipe": common},
            "jobs": [{"recipe": {"seed": number}} for number in range(jobs)],
        }
        status: dict[str, Any] = httpx2.post(f"{self.url}/v1/batches", json=body).raise_for_status().json()
        return status

    def close(self) -> None:
        for worker in self.workers.values():
            worker.terminate()  # they shut down while the API does
        self.server.stop()
        self.stop()


def launch_chromium(playwright: Playwright) -> Browser:
    """Launch the system's Chromium."""
    executable = next((path for path in _CHROMIUM if path and Path(path).exists()), None)
    if executable is None:
        part_missing("Chromium is not installed: apt-get install chromium")
    flags = [f"--{flag}" for flag in [*_FLAGS.split(), "disable-sync"]]
    return playwright.chromium.launch(executable_path=executable, args=flags)


@pytest.fixture(scope="package")  # while Playwright runs, no other test of this process can use asyncio
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch_chromium(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def stack(valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserStack]:
    with valkey.client() as client:
        client.flushall()
    stack = BrowserStack(tmp_path_factory.mktemp("stack"), valkey.url)
    yield stack
    stack.close()


@pytest.fixture(scope="module")
def stack_with_worker(stack: BrowserStack) -> BrowserStack:
    stack.start_worker("ada")
    return stack


@pytest.fixture(scope="module")
def finished(stack_with_worker: BrowserStack) -> str:
    """The ID of a finished job."""
    return stack_with_worker.done(stack_with_worker.submit(steps=30)).id


@pytest.fixture(scope="module")
def batch(stack: BrowserStack) -> dict[str, Any]:
    """A batch of two jobs."""
    return stack.submit_batch(jobs=2)


@pytest.fixture(scope="module")
def protected_url(stack: BrowserStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an API over the same queue that requires a key."""
    folder: Path = tmp_path_factory.mktemp("protected")
    settings = stack.settings.model_copy(update={"api_keys": (SecretStr(KEY),)})
    server = Server(settings, folder / "api.log")
    yield server.url
    server.stop()


NewPage = Callable[..., Page]


@pytest.fixture
def new_page(browser: Browser, stack: BrowserStack) -> Iterator[NewPage]:
    """Open pages with separate cookies. Console errors and warnings fail the test, unless it allows them."""
    errors: list[str] = []
    contexts = []

    def new(*, allow_console_errors: bool = False, **options: Any) -> Page:
        context = browser.new_context(base_url=stack.url, reduced_motion="reduce", **options)
        context.set_default_timeout(TIMEOUT)
        contexts.append(context)
        page = context.new_page()
        if not allow_console_errors:
            record_errors(page, errors)
        return page

    yield new
    for context in contexts:
        context.close()
    assert errors == []


def record_errors(page: Page, errors: list[str]) -> None:
    page.on("console", lambda entry: errors.append(entry.text) if entry.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: errors.append(str(error)))


@pytest.fixture
def page(new_page: NewPage) -> Page:
    return new_page()
