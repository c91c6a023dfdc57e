"""The snippets that the gallery copies run as they are."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect
from support.fixtures.worker import sample_image
from support.image_files import decode
from support.requirements import ROOT, part_missing

from browser.actions import KEY, sign_in
from browser.conftest import BrowserStack, NewPage
from shared.jobs.job import Job

pytestmark = pytest.mark.parametrize("kind", ["curl", "CLI", "Python", "JavaScript"])


@pytest.fixture
def job_with_all_images(stack_with_worker: BrowserStack) -> Job:
    """A finished job with two styles, their masks and a start image."""
    masks = [Image.linear_gradient("L").resize((96, 72)).rotate(angle).convert("RGB") for angle in (0, 180)]
    start = sample_image(9)
    return stack_with_worker.done(stack_with_worker.submit(masks=masks, init_image=start, init="image"))


@pytest.fixture
def job_with_all_types(stack_with_worker: BrowserStack) -> Job:
    """A finished job whose recipe has values of all types: booleans, numbers, objects."""
    optimizer = {"kind": "adam", "learning_rate": 0.05}
    layers = {"block4_conv2": 1, "block5_conv2": 0.5}
    return stack_with_worker.done(
        stack_with_worker.submit(seed=12, normalize=False, content_layers=layers, optimizer=optimizer)
    )


def test_a_snippet_reruns_the_job_and_saves_the_result(
    new_page: NewPage, job_with_all_types: Job, stack_with_worker: BrowserStack, tmp_path: Path, kind: str
) -> None:
    page = new_page()
    page.goto("/gallery")
    output = run(kind, copy(page, job_with_all_types, kind), tmp_path)
    rerun = stack_with_worker.services.ledger.list(limit=1)[0]
    assert rerun.id != job_with_all_types.id
    assert rerun.request.recipe == job_with_all_types.request.recipe
    assert rerun.request.content == job_with_all_types.request.content
    assert rerun.request.styles == job_with_all_types.request.styles
    assert rerun.id in output
    assert "Wrote result.png" in output
    assert decode((tmp_path / "result.png").read_bytes()) == decode(stack_with_worker.result_of(rerun))


def test_a_snippet_keeps_masks_and_start_image(
    new_page: NewPage, job_with_all_images: Job, stack_with_worker: BrowserStack, tmp_path: Path, kind: str
) -> None:
    page = new_page()
    page.goto("/gallery")
    run(kind, copy(page, job_with_all_images, kind), tmp_path)
    rerun, source = stack_with_worker.services.ledger.list(limit=1)[0].request, job_with_all_images.request
    assert rerun.id != source.id
    assert (rerun.content_masks, rerun.init_image) == (source.content_masks, source.init_image)
    assert (rerun.styles, rerun.recipe) == (source.styles, source.recipe)


def test_a_snippet_sends_the_api_key_from_the_environment(
    new_page: NewPage, protected_url: str, job_with_all_types: Job, tmp_path: Path, kind: str
) -> None:
    page = new_page(allow_console_errors=True)
    page.goto(f"{protected_url}/gallery")
    sign_in(page, KEY)
    text = copy(page, job_with_all_types, kind)
    assert KEY not in text
    run(kind, text, tmp_path, EASEL_API_KEY=KEY)
    assert (tmp_path / "result.png").exists()


def copy(page: Page, job: Job, kind: str) -> str:
    """Click the button and return the text on the clipboard."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(f'[data-id="{job.id}"]').get_by_role("button").first.click()
    page.get_by_text("Share", exact=True).click()
    page.get_by_role("button", name=f"Copy as {kind}").click()
    expect(page.get_by_text(f"Copied as {kind}.")).to_be_visible()
    return str(page.evaluate("navigator.clipboard.readText()"))


def run(kind: str, text: str, folder: Path, **environment: str) -> str:
    """Run a snippet in a terminal and return its output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), **environment}
    programs = {"Python": [sys.executable, "-c"], "JavaScript": ["node", "--input-type=module", "-e"]}
    program = programs.get(kind, ["sh", "-ec"])
    if not shutil.which(program[0]):
        part_missing(f"{program[0]} is not installed")
    process = subprocess.run(
        [*program, text], cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout + process.stderr
