"""`easel batch` with the real API, ledger and reaper, and a fake worker."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.command_line import accept_interrupts
from support.fake_worker import ApiProcess, FakeWorker
from typer.testing import CliRunner, Result

from easel import Easel
from easel.cli import app
from shared.jobs.batch import SheetAttempts, contact_sheet_key

RUN_EASEL = "from easel.cli import main; main()"


@pytest.fixture
def reaper(api: ApiProcess, fake_worker: FakeWorker, tmp_path: Path) -> Iterator[None]:
    """Run a reaper, which makes contact sheets."""
    assert fake_worker.services.ledger.identity()
    settings = {"EASEL_REDIS_URL": api.settings.redis_url, "EASEL_STORE_URL": api.settings.store_url}
    with (tmp_path / "reaper.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "worker", "reaper"],
            env={**os.environ, **settings, "EASEL_REAPER_SECONDS": "0.2"},
            stdout=log,
            stderr=log,
        )
    yield
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of two photos, beside two style images."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, color in (("photos/harbor.png", "red"), ("photos/a cat.png", "green")):
        Image.new("RGB", (96, 64), color).save(tmp_path / name)
    for name, color in (("wave.png", "blue"), ("night.png", "black")):
        Image.new("RGB", (64, 64), color).save(tmp_path / name)
    (folder / "notes.txt").write_text("no photo")
    return folder


def easel_batch(api: ApiProcess, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["--url", api.url, "batch", *map(str, arguments)])


def submitted(api: ApiProcess, photos: Path, *options: object) -> Result:
    styles = [f"--style={photos.parent / name}" for name in ("wave.png", "night.png")]
    return easel_batch(api, "submit", photos, *styles, "--recipe", "fast", "--steps", 2, *options)


def run_jobs(worker: FakeWorker, count: int) -> threading.Thread:
    """Run so many jobs in a thread."""

    def run() -> None:
        for _ in range(count):
            worker.run_to_end(worker.claim_next(seconds=60))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.usefixtures("reaper")
def test_photos_and_styles_become_a_folder_of_results_with_a_contact_sheet(
    api: ApiProcess, fake_worker: FakeWorker, photos: Path, tmp_path: Path
) -> None:
    thread = run_jobs(fake_worker, 4)
    result = submitted(api, photos, "-o", tmp_path / "out" / "new")
    thread.join()
    assert result.exit_code == 0, result.stderr
    assert sorted(file.name for file in (tmp_path / "out" / "new").iterdir()) == [
        *("1-a_cat-wave.png", "2-a_cat-night.png", "3-harbor-wave.png", "4-harbor-night.png"),
        "contact-sheet.png",
    ]
    assert "100%, 4 of 4 done" in result.stderr
    with Image.open(tmp_path / "out" / "new" / "contact-sheet.png") as sheet:
        assert min(sheet.size) > 128, "two rows of two pictures"
    batch_id = result.stdout.strip()
    assert easel_batch(api, "status", batch_id).stdout == "4 of 4 done\n"
    assert easel_batch(api, "delete", batch_id).exit_code == 0
    missing = easel_batch(api, "status", batch_id)
    assert (missing.exit_code, "batch_not_found" in missing.stderr) == (3, True)


def test_a_batch_is_canceled_with_all_its_jobs(api: ApiProcess, fake_worker: FakeWorker, photos: Path) -> None:
    assert fake_worker.services.ledger.identity()
    result = submitted(api, photos, "--recipe", "gentle", "--metadata", "order=6735")
    assert "8 jobs. Watch them with: easel batch watch" in result.stderr
    batch_id = result.stdout.strip()
    with Easel(api.url) as easel:
        jobs = list(easel.list(batch=batch_id))[::-1]
    assert [job.status.metadata["recipe"] for job in jobs[:2]] == ["fast", "gentle"]
    assert jobs[0].status.metadata["order"] == "6735"
    canceled = easel_batch(api, "cancel", batch_id, "--json")
    assert json.loads(canceled.stdout)["counts"]["canceled"] == 8
    watched = easel_batch(api, "watch", batch_id)
    assert (watched.exit_code, watched.stderr.count("\n")) == (1, 1)
    assert "0 of 8 done, 8 canceled" in watched.stderr


@pytest.mark.usefixtures("reaper")
def test_failures_have_names_and_results_are_named_after_titles(
    api: ApiProcess, fake_worker: FakeWorker, photos: Path, tmp_path: Path
) -> None:
    names = ({"photo": "harbor.png", "style": "wave.png"}, {"title": "St. Ives"}, {"title": "St. Ives: night"})
    common = {
        "content": photos / "harbor.png",
        "styles": tmp_path / "wave.png",
        "recipe": {"preset": "fast", "steps": 2},
    }
    with Easel(api.url) as easel:
        batch = easel.submit_batch([{"metadata": metadata} for metadata in names], common).status
    for end in (fake_worker.fail, fake_worker.fail, fake_worker.run_to_end):
        end(fake_worker.claim_next(seconds=60))
    shown = easel_batch(api, "status", batch.id)
    assert shown.stdout == "1 of 3 done, 2 failed\n"
    failures = shown.stderr.splitlines()
    assert failures[0].startswith(f"harbor.png, wave.png ({batch.jobs[0]}) failed: ")
    assert failures[1].startswith(f"St. Ives ({batch.jobs[1]}) failed: ")
    watched = easel_batch(api, "watch", batch.id, "-o", tmp_path / "out")
    assert watched.exit_code == 1
    assert shown.stderr in watched.stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["3-St._Ives_night.png", "contact-sheet.png"]


def test_results_are_written_without_a_contact_sheet_that_cannot_be_made(
    api: ApiProcess, fake_worker: FakeWorker, photos: Path, tmp_path: Path
) -> None:
    batch_id = submitted(api, photos).stdout.strip()
    for _ in range(4):
        fake_worker.run_to_end(fake_worker.claim_next(seconds=60))
    services = fake_worker.services
    key = contact_sheet_key(batch_id, services.ledger.get_many(services.ledger.batch_ids(batch_id))) or ""
    SheetAttempts(count=3, error="The sheet could not be made.").write(services.blobs, key)
    watched = easel_batch(api, "watch", batch_id, "-o", tmp_path / "out")
    assert watched.exit_code == 0, watched.stderr
    assert watched.stderr.endswith("The sheet could not be made.\n")
    assert len(list((tmp_path / "out").glob("*.png"))) == 4


def test_ctrl_c_leaves_the_jobs_running_and_says_how_to_go_on(
    api: ApiProcess, fake_worker: FakeWorker, photos: Path
) -> None:
    batch_id = submitted(api, photos).stdout.strip()
    command = [sys.executable, "-c", RUN_EASEL, "--url", api.url, "batch", "watch", batch_id]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=accept_interrupts,  # noqa: PLW1509 - it makes one system call
    ) as process:
        assert process.stderr is not None
        assert "0%, 0 of 4 done, 4 queued" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().endswith(f"Watch them again with: easel batch watch {batch_id}\n")
        assert process.wait(30) == 130
    assert len(fake_worker.services.ledger.batch_ids(batch_id)) == 4
    assert easel_batch(api, "cancel", batch_id).exit_code == 0


def test_wrong_files_are_errors_of_one_sentence(api: ApiProcess, photos: Path, tmp_path: Path) -> None:
    style = f"--style={tmp_path / 'wave.png'}"
    (tmp_path / "empty").mkdir()
    empty = easel_batch(api, "submit", tmp_path / "empty", style)
    assert (empty.exit_code, "has no images" in " ".join(empty.stderr.replace("│", " ").split())) == (2, True)
    notes = easel_batch(api, "submit", photos / "notes.txt", style)
    assert (notes.exit_code, notes.stderr.count("Error: ")) == (2, 1)
    assert "notes.txt" in notes.stderr
    recipe = easel_batch(api, "submit", photos, style, "--size", 9)
    assert recipe.exit_code == 2
    assert recipe.stderr.startswith("Error: jobs[0]: Invalid recipe: size: ")
