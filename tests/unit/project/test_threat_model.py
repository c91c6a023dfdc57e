"""The threat model names tests that exist, and some claims that no other test shows."""

import ast
import re
from typing import Final

import pytest
from support.requirements import ROOT

TEXT: Final = (ROOT / "docs/explanation/threat-model.md").read_text()
TESTS: Final = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}
PARSERS_OF_HTML: Final = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setHTML|srcdoc|"
    r"\beval\(|new Function|javascript:"
)


def threats() -> list[list[str]]:
    """Return the cells of each row of the tables whose last column names tests."""
    tables = re.findall(r"^\| threat \|.*\n\|---.*\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [row.strip("|").split(" | ") for table in tables for row in table.splitlines()]


@pytest.mark.parametrize("row", threats(), ids=lambda row: row[0].strip())
def test_a_threat_has_tests_that_exist_or_says_that_it_has_none(row: list[str]) -> None:
    _, countered_by, tests = row
    assert countered_by
    named = set(re.findall(r"`(test_\w+)`", tests))
    assert named or "not covered" in tests
    assert named <= TESTS


def test_the_tables_are_found() -> None:
    assert len(threats()) > 50


def test_no_script_of_the_pages_parses_html() -> None:
    scripts = [*(ROOT / "api/web").rglob("*.js"), *(ROOT / "api/web").rglob("*.html")]
    assert len(scripts) > 20
    found = {path.name: re.findall(PARSERS_OF_HTML, path.read_text()) for path in scripts}
    assert {name for name, uses in found.items() if uses} == set()


def test_secrets_are_compared_in_constant_time() -> None:
    """`==` is for words that are no secrets: a literal is one, and so is a tenant's name."""
    modules = ["api/http/callers.py", "api/http/session_cookie.py", "api/http/share_links.py", "shared/tenants/keys.py"]
    for module in modules:
        text = (ROOT / module).read_text()
        assert "hmac.compare_digest(" in text, module
        equalities = [
            [node.left, *node.comparators]
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Compare) and {type(op) for op in node.ops} & {ast.Eq, ast.NotEq}
        ]
        without_literals = [sides for sides in equalities if not any(isinstance(side, ast.Constant) for side in sides)]
        names = {ast.unparse(side).rpartition(".")[2] for sides in without_literals for side in sides}
        assert names <= {"tenant"}, module


def test_every_cache_is_bounded() -> None:
    """`@cache` has no bound, which does no harm to a function that has no argument or is called once."""
    text = "".join(path.read_text() for package in ("api", "shared") for path in (ROOT / package).rglob("*.py"))
    caches = re.findall(r"\b(?:lru_cache|LRUCache)\b(?:\[.*?\])?\((.*?)[,)\n]", text)
    assert len(caches) > 5
    assert "" not in caches
    assert "maxsize=None" not in caches
    assert re.findall(r"@(?:functools\.)?cache\n\s*def (\w+)\([^)]", text) == ["capture"], "called once"


def test_every_locked_package_has_a_hash() -> None:
    for lock in (ROOT / "deploy/locks").glob("*.txt"):
        packages = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", lock.read_text(), flags=re.MULTILINE)).splitlines()
        assert [line for line in packages if line.strip() and "--hash=sha256:" not in line] == [], lock.name


def test_images_install_by_hash_only() -> None:
    texts = [path.read_text().replace("\\\n", " ") for path in (ROOT / "deploy").glob("*.Dockerfile")]
    installs = [line for text in texts for line in re.findall(r"pip install[^\n&]*", text)]
    assert installs
    assert [line for line in installs if "--require-hashes" not in line] == []
