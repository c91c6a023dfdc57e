"""ARCHITECTURE.md lists every folder, and its table names files and tests that exist."""

import re
from pathlib import Path

import pytest
from support.requirements import ROOT

TEXT = (ROOT / "ARCHITECTURE.md").read_text()
SUFFIXES = {".py", ".yml", ".yaml", ".json", ".lua", ".js", ".ts", ".html", ".md", ".jpg", ".txt", ".webp"}


def listed_folders() -> set[str]:
    """Return the folders of the first code block, by their indentation."""
    (block,) = re.findall(r"^```\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    parents: list[str] = []
    folders = set()
    for line in block.splitlines():
        indent, folder = re.match(r"( *)([\w-]+)/", line).groups()  # type: ignore[union-attr]
        parents[len(indent) // 2 :] = [folder]
        folders.add("/".join(parents))
    return folders


def rows() -> list[list[str]]:
    table = TEXT.partition("## Where do I change")[2]
    return [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")][1:]


def test_every_folder_is_listed_and_exists() -> None:
    tops = {folder for folder in listed_folders() if "/" not in folder}
    folders = {path.parent for top in tops for path in (ROOT / top).rglob("*") if path.suffix in SUFFIXES}
    existing = {parent for folder in folders for parent in (folder, *folder.parents) if parent.is_relative_to(ROOT)}
    assert listed_folders() == {path.relative_to(ROOT).as_posix() for path in existing} - {"."}
    assert tops >= {path.parent.name for path in ROOT.glob("*/__init__.py")}


def test_the_table_answers_at_least_fifteen_questions() -> None:
    assert len(rows()) >= 15
    assert len({what for what, *_ in rows()}) == len(rows())


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_path_of_the_table_exists(row: list[str]) -> None:
    _, files, tests = row
    named = re.findall(r"`([\w./-]+)`", files)
    assert named
    assert all((ROOT / path).exists() for path in named if "/" in path or "." in path), files
    for path in re.findall(r"`(tests/[\w./-]+)`", tests):
        found = ROOT / path
        assert found.is_file() or list(found.rglob("test_*.py")), path
    assert "`tests/" in tests


def test_the_map_is_a_page_of_the_site() -> None:
    assert "ARCHITECTURE.md" in Path(ROOT / "docs/explanation/map.md").read_text()
