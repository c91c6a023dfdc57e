"""What the gallery gives to be run elsewhere is run here, as it stands."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from support.requirements import ROOT

from browser.acts import KEY, sign_in
from browser.conftest import House, NewPage
from shared.jobs.job import Job

pytestmark = pytest.mark.parametrize("kind", ["curl", "CLI", "Python"])


@pytest.fixture
def unusual(painter: House) -> Job:
    """A finished one whose recipe has all kinds of values: true and false, numbers, objects."""
    optimizer = {"kind": "adam", "learning_rate": 0.05}
    layers = {"block4_conv2": 1, "block5_conv2": 0.5}
    return painter.done(painter.submit(seed=12, normalize=False, content_layers=layers, optimizer=optimizer))


def test_what_is_copied_paints_the_job_again_and_saves_the_picture(
    new_page: NewPage, unusual: Job, painter: House, tmp_path: Path, kind: str
) -> None:
    page = new_page()
    page.goto("/gallery")
    told = run(kind, copied(page, unusual, kind), tmp_path)
    again = painter.services.ledger.list(limit=1)[0]
    assert again.id != unusual.id
    assert again.request.recipe == unusual.request.recipe
    assert again.request.content == unusual.request.content
    assert again.request.styles == unusual.request.styles
    assert again.id in told
    assert "Wrote result.png" in told
    assert (tmp_path / "result.png").read_bytes() == painter.picture_of(again)


def test_what_is_copied_sends_the_key_where_one_is_asked_for(
    new_page: NewPage, guarded: str, unusual: Job, tmp_path: Path, kind: str
) -> None:
    page = new_page(quiet=False)
    page.goto(f"{guarded}/gallery")
    sign_in(page, KEY)
    text = copied(page, unusual, kind)
    assert KEY not in text
    run(kind, text, tmp_path, EASEL_API_KEY=KEY)
    assert (tmp_path / "result.png").exists()


def copied(page: Page, job: Job, kind: str) -> str:
    """What the button puts onto the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(f'[data-id="{job.id}"]').get_by_role("button").click()
    page.get_by_role("button", name=f"Copy as {kind}").click()
    expect(page.get_by_text(f"Copied as {kind}.")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def run(kind: str, text: str, folder: Path, **environment: str) -> str:
    """As who pastes it would; all that it says."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment}
    program = [sys.executable, "-c"] if kind == "Python" else ["sh", "-ec"]
    done = subprocess.run(
        [*program, text], cwd=folder, env=told, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
