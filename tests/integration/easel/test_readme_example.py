"""The Python example of the README, as it is printed there, with the real API and a fake worker."""

import asyncio
import gc
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fake_worker import ApiProcess, FakeWorker
from support.requirements import ROOT

from easel import ApiError, AsyncEasel, WarningEvent


@pytest.fixture
def example(api: ApiProcess, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Run the example in a folder with its inputs, against the test's API."""
    (tmp_path / "out").mkdir()
    for path, name in zip(images, ("photo.png", "painting.jpg"), strict=True):
        (tmp_path / "out" / name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    match = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert match, "the README has an example"
    source = match[1].replace("http://127.0.0.1:8080", api.url)
    assert api.url in source

    def run() -> None:
        try:
            exec(compile(source, "README.md", "exec"), {})  # noqa: S102 - the project's own example
        finally:
            gc.collect()  # a file that was left open is a warning, and thereby a failure

    return run


def test_the_example_writes_the_result(fake_worker: FakeWorker, example: Callable[[], None]) -> None:
    with fake_worker.running_next_job(fake_worker.run_to_end):
        example()
    assert Path("out/result.png").read_bytes().startswith(b"\x89PNG")


def test_the_example_leaves_nothing_open_when_the_job_fails(
    fake_worker: FakeWorker, example: Callable[[], None]
) -> None:
    with fake_worker.running_next_job(fake_worker.fail), pytest.raises(ApiError):
        example()
    assert not Path("out/result.png").exists()


def test_an_async_program_reads_the_same_events(api: ApiProcess, fake_worker: FakeWorker, images: list[Path]) -> None:
    async def program() -> list[int]:
        async with AsyncEasel(api.url) as easel:
            job = await easel.submit(
                images[0], images[1], {"preset": "fast", "init": "content", "size": 64, "steps": 3}
            )
            steps = []
            async for event in job.events():
                assert not isinstance(event, WarningEvent)
                if event.kind == "progress":
                    steps.append(event.data.progress.current)
            assert (await job.wait(timeout=60)).state == "succeeded"
            return steps

    with fake_worker.running_next_job(fake_worker.run_to_end):
        assert asyncio.run(program()) == [1, 2, 3]
