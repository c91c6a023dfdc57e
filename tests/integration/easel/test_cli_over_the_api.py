"""The client and the `easel` command over the real API and the real ledger; the test does the worker's part."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.fake_worker import ApiProcess, Hand
from support.fixtures.api import paint
from typer.testing import CliRunner, Result

from deploy.local.demo import run_demo
from easel import Easel, Job
from easel.cli import app


@pytest.fixture
def easel(api: ApiProcess, hand: Hand) -> Iterator[Easel]:
    assert hand.services.ledger.identity()
    with Easel(api.url) as client:
        yield client


def run(api: ApiProcess, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["--url", api.url, *map(str, arguments)])


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as picture:
        return picture.size


def submit(easel: Easel, images: list[Path], steps: int = 8) -> Job:
    return easel.submit(images[0], images[1:], {"preset": "fast", "size": 64, "steps": steps})


def test_from_two_images_to_the_picture(api: ApiProcess, hand: Hand, images: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.png"
    with hand.at_work(hand.paint_all):
        result = run(api, "submit", *images, "--recipe", "fast", "--steps", 8, "-o", output)
    assert result.exit_code == 0, result.stderr
    job_id = result.stdout.strip()
    assert size_of(output) == (64, 48)
    assert "succeeded after 8 steps" in result.stderr

    assert run(api, "result", job_id, "-o", tmp_path / "again.png", "--provenance").exit_code == 0
    assert (tmp_path / "again.png").read_bytes() == output.read_bytes()
    assert json.loads((tmp_path / "again.json").read_text())["weights"]["source"] == "random"
    assert json.loads(run(api, "status", job_id, "--json").stdout)["state"] == "succeeded"
    assert [job["id"] for job in json.loads(run(api, "list", "--json").stdout)] == [job_id]
    assert run(api, "delete", job_id).exit_code == 0
    assert run(api, "status", job_id).exit_code == 3


def test_the_demo_writes_the_picture_and_how_it_came_about(
    api: ApiProcess, hand: Hand, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hand.at_work(hand.paint_all):
        run_demo(api.url, *images, tmp_path / "out" / "demo.png", {"preset": "fast", "steps": 4})
    assert size_of(tmp_path / "out" / "demo.png") == (64, 48)
    assert json.loads((tmp_path / "out" / "demo.json").read_text())["steps"] == 4
    said = capsys.readouterr().err
    assert "Weights: random (sha256 0123" in said
    assert "demo.png" in said


def test_a_demo_whose_job_fails_says_why(api: ApiProcess, hand: Hand, images: list[Path], tmp_path: Path) -> None:
    with hand.at_work(hand.fail), pytest.raises(RuntimeError, match="diverged"):
        run_demo(api.url, *images, tmp_path / "demo.png", "fast")


def test_the_queue_can_be_read(api: ApiProcess, hand: Hand, easel: Easel, images: list[Path]) -> None:
    assert "No worker is alive" in run(api, "queue").stdout
    job = submit(easel, images)
    hand.appear(job.id)
    hand.paint(hand.take(), 1)
    submit(easel, images)
    said = run(api, "queue").stdout
    for part in (job.id, "hand@test", "cpu:2", "64 px", "standard  1"):
        assert part in said


def test_the_same_key_names_the_same_job(api: ApiProcess, hand: Hand, images: list[Path]) -> None:
    arguments = ("submit", *images, "--recipe", "fast", "--idempotency-key", "monday")
    assert run(api, *arguments).stdout == run(api, *arguments).stdout
    assert run(api, *arguments, "--steps", 5).exit_code == 2
    assert hand.services.queue_stats.depth("standard") == 1


def test_jobs_are_canceled_and_finished_from_the_command_line(
    api: ApiProcess, hand: Hand, easel: Easel, images: list[Path]
) -> None:
    running, waiting = submit(easel, images), submit(easel, images)
    claim = hand.take()
    assert run(api, "finish", running.id).exit_code == 2  # there is no picture yet
    hand.paint(claim, 3)
    assert run(api, "finish", running.id).exit_code == 0
    assert run(api, "cancel", waiting.id).exit_code == 0
    assert run(api, "cancel", waiting.id).exit_code == 0  # as it is already
    assert run(api, "watch", waiting.id).exit_code == 1
    assert running.refresh(wait=0.1).state == "running"
    hand.fail(claim)
    watched = run(api, "watch", running.id)
    assert watched.exit_code == 1
    assert "(diverged)" in watched.stderr


def test_bad_input_is_exit_code_2_and_stores_nothing(api: ApiProcess, hand: Hand, images: list[Path]) -> None:
    words = images[0].with_name("words.txt")
    words.write_text("not a picture")
    for arguments, code in (
        ((words, images[1]), "not_an_image"),
        ((*images, "--size", 9), "invalid_recipe"),
        ((*images, "--recipe", "nonesuch"), "invalid_recipe"),
        ((*images, "--tier", "nonesuch"), "unknown_tier"),
    ):
        result = run(api, "submit", *arguments)
        assert result.exit_code == 2
        assert code in result.stderr
    assert hand.services.queue_stats.depth("standard") == 0


def test_the_file_that_is_no_image_is_named(api: ApiProcess, images: list[Path]) -> None:
    words = images[0].with_name("words.txt")
    words.write_text("not a picture")
    for order in ([words, images[1]], [*images, words], [*images, words, "--quote"]):
        assert f"Error: {words}: The file is no image" in run(api, "submit", *order).stderr


def test_ctrl_c_leaves_the_job_and_says_how_to_watch_it_again(
    api: ApiProcess, hand: Hand, easel: Easel, images: list[Path]
) -> None:
    job = submit(easel, images)
    command = [sys.executable, "-c", "from easel.cli import main; main()", "--url", api.url, "watch", job.id]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell's background job ignores it
    ) as watcher:
        assert watcher.stdout is not None
        assert "1st in line" in watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        _, said = watcher.communicate(timeout=30)
    assert watcher.returncode == 130
    assert said == f"The job goes on. Watch again with: easel watch {job.id}\n"
    hand.paint(hand.take(), 1)
    assert job.refresh().state == "running"


def test_recipes_and_the_timelapse_can_be_fetched(
    api: ApiProcess, hand: Hand, easel: Easel, images: list[Path], tmp_path: Path
) -> None:
    assert re.search(r"optimizer +adam +lbfgs +lbfgs", run(api, "recipes").stdout)
    job = submit(easel, images)
    claim = hand.take()
    assert run(api, "timelapse", job.id, "-o", tmp_path / "early.webp").exit_code == 2
    for step in (1, 2):
        paint(hand.services, claim, step)
    assert run(api, "timelapse", job.id, "-o", tmp_path / "film.webp").exit_code == 0
    assert size_of(tmp_path / "film.webp") == (48, 32)


def test_watching_in_json_tells_every_event(api: ApiProcess, hand: Hand, easel: Easel, images: list[Path]) -> None:
    job = submit(easel, images, steps=3)
    with hand.at_work(hand.paint_all):
        result = run(api, "watch", job.id, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert {line["job"] for line in lines} == {job.id}
    assert [line["kind"] for line in lines] == ["state", "state", "progress", "progress", "progress", "state"]


def test_a_key_is_sent_where_one_is_asked_for(valkey_url: str, tmp_path: Path) -> None:
    locked = ApiProcess(tmp_path, valkey_url, api_keys="right")
    locked.start()
    try:
        Hand(locked.settings)
        assert "unauthorized" in run(locked, "list").stderr
        assert run(locked, "--api-key", "wrong", "list").exit_code == 2
        assert run(locked, "--api-key", "right", "list").exit_code == 0
    finally:
        locked.stop()
