"""The documentation names only paths, identifiers, variables, commands and targets that exist."""

import re
import subprocess
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest
from support.requirements import ROOT, part_missing
from typer import Typer
from typer.main import get_command

from easel.cli import app as easel
from shared.metrics.instruments import PROCESS
from shared.settings import Settings
from worker.cli import app as easel_worker


@cache
def tracked() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for path in listed if (ROOT / path).exists()]


DOCUMENTS = [ROOT / path for path in tracked() if path.endswith(".md")]
CURRENT = [path for path in DOCUMENTS if path.name not in {"CHANGELOG.md", "NOTES.md"}]
"""Documents about the current code. The changelog and the notes of the benchmarks also name what is gone."""

VARIABLES = {f"EASEL_{name.upper()}" for name in Settings.model_fields} | {"EASEL_URL", "EASEL_API_KEY"}
APPS = {"easel": easel, "easel-worker": easel_worker, "worker": easel_worker}

FOLDERS = ("api", "deploy", "docs", "easel", "shared", "tests", "worker")
FOREIGN = {
    # Written or read by Easel at run time, or made by the Makefile.
    *("final.json", "ledger.json", "request.json"),
    # Cells of TensorFlow's tutorial (docs/explanation/from-the-tutorial.md).
    *("load_img", "vgg_layers", "gram_matrix", "style_content_loss", "train_step", "high_pass_x_y", "tensor_to_image"),
    *("clip_0_1", "style_image", "content_image", "style_targets", "content_targets", "total_variation_loss"),
    # The example of a new fault (tests/chaos/README.md).
    "redis_paused",
    # Other programs' names.
    *("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "parentbased_traceidratio"),
    *("appendfsync", "proxy_pass", "CUDA_DEVICE_ORDER", "KERAS_HOME", "FORWARDED_ALLOW_IPS", "GradientTape"),
    # Metrics of Prometheus' client.
    *(metric.name + ("_total" if metric.type == "counter" else "") for metric in PROCESS.collect()),
}


@cache
def code_words() -> set[str]:
    """Return every word in the code, except in this test."""
    suffixes = {".py", ".lua", ".js", ".html", ".css", ".toml", ".yaml", ".yml", ".Dockerfile", ""}
    paths = [path for path in map(Path, tracked()) if path.suffix in suffixes and path.name != Path(__file__).name]
    texts = ((ROOT / path).read_text(errors="ignore") for path in paths if path.parts[0] != "docs")
    return set(re.findall(r"\w+", " ".join(texts)))


def code_spans(document: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = document.parent / path if path else document
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", CURRENT, ids=name)
def test_every_path_exists(document: Path) -> None:
    for span in code_spans(document):
        if re.fullmatch(rf"(?:{'|'.join(FOLDERS)})/[\w./*-]+", span):
            assert list(ROOT.glob(span.rstrip("/"))), span
        elif re.fullmatch(r"(?!out/|/)[\w./-]+\.(?:py|lua|js|css|html|sh|json|txt)", span) and span not in FOREIGN:
            assert any(f"/{path}".endswith(f"/{span}") for path in tracked()), span


@pytest.mark.parametrize("document", CURRENT, ids=name)
def test_every_identifier_exists_in_the_code(document: Path) -> None:
    for span in code_spans(document):
        for word in re.findall(r"(?<![\w/.<-])[A-Za-z_]\w*(?![\w/>-])", span):
            if re.search(r"_|[a-z][A-Z]", word) and not word.startswith("EASEL_") and word not in FOREIGN:
                assert word in code_words(), f"{word} in `{span}`"


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_variable_is_a_setting(document: Path) -> None:
    assert set(re.findall(r"\bEASEL_[A-Z0-9_]*[A-Z0-9]\b", document.read_text())) <= VARIABLES


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_every_make_target_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^\s*)make ([a-z][a-z-]*)", document.read_text(), re.MULTILINE)) <= targets


def commands() -> list[str]:
    """Return this project's commands in the documents, in the files of the images and in the Makefile."""
    deployed = [*(ROOT / "deploy").glob("*.yaml"), *(ROOT / "deploy").glob("*.Dockerfile"), ROOT / "Makefile"]
    text = "\n".join(path.read_text() for path in [*DOCUMENTS, *deployed])
    text = re.sub(r'\\\n|"?, "?', " ", text)  # one line each, and lists of words as a shell would write them
    program = r"easel(?:-worker)? +[a-z]|python -m (?!pip|pytest|venv)"
    found = re.findall(rf"""(?:[`/]|^\s*|\["?|command: )((?:{program})[^\]`#|;&\n]+)""", text, re.MULTILINE)
    return sorted({command.strip(' "') for command in found})


@pytest.mark.parametrize("command", commands())
def test_every_command_and_its_options_exist(command: str) -> None:
    program, *words = command.removeprefix("python -m ").split()
    parser = get_command(APPS.get(program) or app_of(program))
    while hasattr(parser, "commands") and words and not words[0].startswith("-"):
        parser = parser.commands[words.pop(0)]
    options = {name for option in parser.params for name in (*option.opts, *option.secondary_opts)}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", command)) <= options | {"--help"}


def app_of(name: str) -> Typer:
    """Return the command line of a module for `python -m`. Without Typer it may have no options."""
    spec = find_spec(name)
    assert spec, f"there is no module {name}"
    module = import_module(f"{name}.__main__" if spec.submodule_search_locations else name)
    app = getattr(module, "app", Typer())
    if not app.registered_commands:
        app.command()(module.main if hasattr(module, "typer") else lambda: None)
    return app


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_site_builds_without_warnings(tmp_path: Path) -> None:
    sphinx = ROOT / ".venv-docs/bin/sphinx-build"
    if not sphinx.exists():
        part_missing("Sphinx is missing: make .venv-docs/ready")
    options = ["--fail-on-warning", "--keep-going", "--nitpicky", "--quiet", "--fresh-env"]
    built = subprocess.run([sphinx, *options, ROOT / "docs", tmp_path], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    pages = "".join(page.read_text() for page in tmp_path.rglob("*.html"))
    loaded = re.findall(r"""<(?:link rel="stylesheet"|script|img)[^>]+(?:src|href)="(https?:[^"]+)""", pages)
    assert not loaded, "a page loads something from the network"
