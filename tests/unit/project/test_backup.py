"""The commands that docs/how-to/backup.md gives for a folder."""

import re
import subprocess
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path

from support.requirements import ROOT

from shared.recovery.job_files import read_batch, write_batch
from shared.storage import LocalBlobStore, keys

GUIDE = ROOT / "docs/how-to/backup.md"


def copy_commands(backup: Path) -> list[str]:
    """Return the commands that copy, in their order, with another folder."""
    block = re.search(r"```sh\ncd var/blobs.*?\n(.+?)```", GUIDE.read_text(), re.DOTALL)
    assert block is not None
    return block[1].replace("\\\n", "").replace("/backup", str(backup)).strip().splitlines()


def test_a_backup_of_a_folder_has_all_jobs_of_a_batch_that_is_submitted_meanwhile_or_none(tmp_path: Path) -> None:
    outcomes = set()
    for number, moments in enumerate(combinations_with_replacement(range(4), 3)):
        folder, backup = tmp_path / f"blobs{number}", tmp_path / f"backup{number}"
        (folder / "jobs").mkdir(parents=True)
        backup.mkdir()
        store, copy = LocalBlobStore(folder), LocalBlobStore(backup)
        commands = copy_commands(backup)
        assert len(commands) == 3
        submission = [
            partial(store.put, keys.request("1"), b"{}"),
            partial(store.put, keys.request("2"), b"{}"),
            partial(write_batch, store, "b", ["1", "2"]),
        ]
        for moment in range(4):
            for write, at in zip(submission, moments, strict=True):
                if at == moment:
                    write()
            for command in commands[moment : moment + 1]:
                subprocess.run(command, shell=True, cwd=folder, check=True)  # noqa: S602 - from our own guide
        restored = [copy.exists(keys.request(job_id)) for job_id in read_batch(copy, "b")]
        assert restored in ([], [True, True]), f"the files were written before the commands {moments}"
        outcomes.add(len(restored))
        assert moments[-1] or {blob.key for blob in copy.list()} == {blob.key for blob in store.list()}
    assert outcomes == {0, 2}
