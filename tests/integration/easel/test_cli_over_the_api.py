"""The `easel` command and the demo with the real API and ledger, and a fake worker."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.command_line import accept_interrupts
from support.fake_worker import ApiProcess, FakeWorker
from support.fixtures.api import add_iteration, add_preview
from typer.testing import CliRunner, Result

from deploy.local.demo import run_demo
from easel import Easel, Job
from easel.cli import app
from shared.jobs.saved_iterations import SavedIterations
from shared.ledger.ledger import Claim


@pytest.fixture
def easel(api: ApiProcess, fake_worker: FakeWorker) -> Iterator[Easel]:
    assert fake_worker.services.ledger.identity()
    with Easel(api.url) as client:
        yield client


def run_easel(api: ApiProcess, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["--url", api.url, *map(str, arguments)])


def easel_status(api: ApiProcess, job_id: str) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(run_easel(api, "status", job_id, "--json").stdout)
    return status


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def submit(easel: Easel, images: list[Path], steps: int = 8) -> Job:
    return easel.submit(images[0], images[1:], {"preset": "fast", "init": "content", "size": 64, "steps": steps})


def test_two_images_become_a_result(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "out.png"
    with fake_worker.running_next_job(fake_worker.run_to_end):
        result = run_easel(
            api, "submit", *images, "--recipe", "fast", "--steps", 8, "--set", "init=content", "-o", output
        )
    assert result.exit_code == 0, result.stderr
    job_id = result.stdout.strip()
    assert size_of(output) == (64, 48)
    assert "succeeded after 8 steps" in result.stderr

    assert run_easel(api, "result", job_id, "-o", tmp_path / "again.png", "--provenance").exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == output.read_bytes()
    assert b"CreatorTool" in output.read_bytes()
    assert run_easel(api, "result", job_id, "-o", tmp_path / "bare.png", "--no-metadata").exit_code == 0
    assert b"CreatorTool" not in (tmp_path / "bare.png").read_bytes()
    assert json.loads((tmp_path / "again.json").read_text())["weights"]["source"] == "random"
    assert easel_status(api, job_id)["state"] == "succeeded"
    assert [job["id"] for job in json.loads(run_easel(api, "list", "--json").stdout)] == [job_id]

    next_id = run_easel(api, "submit", *images, "--init-job", job_id).stdout.strip()
    assert easel_status(api, next_id)["recipe"]["init"] == "image"
    assert run_easel(api, "delete", job_id).exit_code == 0
    unknown = run_easel(api, "submit", *images, "--init-job", job_id)
    assert (unknown.exit_code, "job_not_found" in unknown.stderr) == (3, True)
    assert run_easel(api, "status", job_id).exit_code == 3


def test_the_demo_writes_the_result_and_its_provenance(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fake_worker.running_next_job(fake_worker.run_to_end):
        run_demo(api.url, *images, tmp_path / "out" / "demo.png", {"preset": "fast", "init": "content", "steps": 4})
    assert size_of(tmp_path / "out" / "demo.png") == (64, 48)
    assert json.loads((tmp_path / "out" / "demo.json").read_text())["steps"] == 4
    output = capsys.readouterr().err
    assert "Weights: random (sha256 0123" in output
    assert "demo.png" in output


def test_a_demo_raises_the_reason_why_its_job_failed(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path], tmp_path: Path
) -> None:
    with fake_worker.running_next_job(fake_worker.fail), pytest.raises(RuntimeError, match="diverged"):
        run_demo(api.url, *images, tmp_path / "demo.png", "fast")


def test_the_queue_shows_jobs_and_workers(
    api: ApiProcess, fake_worker: FakeWorker, easel: Easel, images: list[Path]
) -> None:
    assert "No worker is alive" in run_easel(api, "queue").stdout
    job = submit(easel, images)
    fake_worker.register(job.id)
    fake_worker.report_step(fake_worker.claim_next(), 1)
    submit(easel, images)
    output = run_easel(api, "queue").stdout
    for part in (job.id, "fake@test", "cpu:2", "64 px", "standard     1"):
        assert part in output


def test_the_same_idempotency_key_returns_the_same_job(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path]
) -> None:
    arguments = ("submit", *images, "--recipe", "fast", "--set", "init=content", "--idempotency-key", "monday")
    assert run_easel(api, *arguments).stdout == run_easel(api, *arguments).stdout
    assert run_easel(api, *arguments, "--steps", 5).exit_code == 2
    assert fake_worker.services.queue_stats.depth("standard") == 1


def test_jobs_are_canceled_and_finished(
    api: ApiProcess, fake_worker: FakeWorker, easel: Easel, images: list[Path]
) -> None:
    running, waiting = submit(easel, images), submit(easel, images)
    claim = fake_worker.claim_next()
    assert run_easel(api, "finish", running.id).exit_code == 2  # there is no image yet
    fake_worker.report_step(claim, 3)
    assert run_easel(api, "finish", running.id).exit_code == 0
    assert run_easel(api, "cancel", waiting.id).exit_code == 0
    assert run_easel(api, "cancel", waiting.id).exit_code == 0  # it is canceled already
    assert run_easel(api, "watch", waiting.id).exit_code == 1
    assert running.refresh(wait=0.1).state == "running"
    fake_worker.fail(claim)
    watched = run_easel(api, "watch", running.id)
    assert watched.exit_code == 1
    assert "(diverged)" in watched.stderr


def test_bad_input_is_exit_code_2_and_stores_nothing(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path]
) -> None:
    words = images[0].with_name("words.txt")
    words.write_text("not an image")
    for arguments, code in (
        ((words, images[1]), "not_an_image"),
        ((*images, "--size", 9), "invalid_recipe"),
        ((*images, "--recipe", "nonesuch"), "invalid_recipe"),
        ((*images, "--tier", "nonesuch"), "unknown_tier"),
    ):
        result = run_easel(api, "submit", *arguments)
        assert result.exit_code == 2
        assert code in result.stderr
    assert fake_worker.services.queue_stats.depth("standard") == 0


def test_an_image_error_names_the_file(api: ApiProcess, images: list[Path]) -> None:
    words = images[0].with_name("words.txt")
    words.write_text("not an image")
    for arguments in ([words, images[1]], [*images, words], [*images, words, "--quote"]):
        assert f"Error: {words}: The file is not an image" in run_easel(api, "submit", *arguments).stderr


def test_ctrl_c_leaves_the_job_running_and_prints_how_to_watch_it_again(
    api: ApiProcess, fake_worker: FakeWorker, easel: Easel, images: list[Path]
) -> None:
    job = submit(easel, images)
    command = [sys.executable, "-c", "from easel.cli import main; main()", "--url", api.url, "watch", job.id]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=accept_interrupts,  # noqa: PLW1509 - it makes one system call
    ) as watcher:
        assert watcher.stdout is not None
        assert "1st in the queue" in watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        _, message = watcher.communicate(timeout=30)
    assert watcher.returncode == 130
    assert message == f"The job keeps running. Watch it again with: easel watch {job.id}\n"
    fake_worker.report_step(fake_worker.claim_next(), 1)
    assert job.refresh().state == "running"


def test_recipes_and_the_timelapse_can_be_fetched(
    api: ApiProcess, fake_worker: FakeWorker, easel: Easel, images: list[Path], tmp_path: Path
) -> None:
    assert re.search(r"color +style +style", run_easel(api, "recipes").stdout)
    job = submit(easel, images)
    claim = fake_worker.claim_next()
    assert run_easel(api, "timelapse", job.id, "-o", tmp_path / "early.webp").exit_code == 2
    for step in (1, 2):
        add_preview(fake_worker.services, claim, step)
    assert run_easel(api, "timelapse", job.id, "-o", tmp_path / "film.webp").exit_code == 0
    assert size_of(tmp_path / "film.webp") == (48, 32)


def test_saved_iterations_are_written_beside_the_result_and_can_be_fetched_later(
    api: ApiProcess, fake_worker: FakeWorker, images: list[Path], tmp_path: Path
) -> None:
    def save_and_succeed(claim: Claim) -> None:
        saved = SavedIterations()
        for step in (3, 6):
            saved = add_iteration(fake_worker.services, claim, saved, step)
        fake_worker.run_to_end(claim)

    output = tmp_path / "out" / "cat.jpg"
    output.parent.mkdir()
    arguments = ("--recipe", "fast", "--steps", 8, "--save-every", 3, "--set", "init=content", "-o", output)
    with fake_worker.running_next_job(save_and_succeed):
        result = run_easel(api, "submit", *images, *arguments)
    assert result.exit_code == 0, result.stderr
    assert sorted(file.name for file in output.parent.iterdir()) == ["cat-0003.png", "cat-0006.png", "cat.jpg"]
    assert size_of(output.with_name("cat-0003.png")) == (96, 64)

    job_id, again = result.stdout.strip(), tmp_path / "again.png"
    assert run_easel(api, "iterations", job_id, "-o", again).exit_code == 0
    assert again.with_name("again-0006.png").read_bytes() == output.with_name("cat-0006.png").read_bytes()
    assert run_easel(api, "iterations", job_id, "-o", "-").exit_code == 2
    too_many = run_easel(api, "submit", *images, "--steps", 300, "--save-every", 1)
    assert too_many.exit_code == 2
    assert "save_every" in too_many.stderr


def test_watching_as_json_prints_every_event(
    api: ApiProcess, fake_worker: FakeWorker, easel: Easel, images: list[Path]
) -> None:
    job = submit(easel, images, steps=3)
    with fake_worker.running_next_job(fake_worker.run_to_end):
        result = run_easel(api, "watch", job.id, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["job"] for line in lines} == {job.id}
    assert [line["kind"] for line in lines] == ["state", "state", "progress", "progress", "progress", "state"]


def test_the_api_key_is_sent(valkey_url: str, tmp_path: Path) -> None:
    locked = ApiProcess(tmp_path, valkey_url, api_keys="right")
    locked.start()
    try:
        FakeWorker(locked.settings)
        assert "unauthorized" in run_easel(locked, "list").stderr
        assert run_easel(locked, "--api-key", "wrong", "list").exit_code == 2
        assert run_easel(locked, "--api-key", "right", "list").exit_code == 0
    finally:
        locked.stop()
