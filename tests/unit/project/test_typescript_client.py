"""A TypeScript client that is generated from the OpenAPI document compiles."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.requirements import ROOT, part_missing

from api.app import create_app
from api.http.openapi import document
from shared.services import open_services
from shared.settings import Settings

NPM = ROOT / ".npm" / "node_modules"
_STRICT = ("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes")
_MODULES = ("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022", "--lib", "es2022,dom")


@pytest.mark.slow
def test_a_generated_typescript_client_compiles(tmp_path: Path) -> None:
    if not shutil.which("node") or not (NPM / "openapi-typescript").is_dir():
        part_missing("TypeScript is not installed: make .npm/ready")
    settings = Settings(store_url="memory:")
    described = document(create_app(settings, open_services(settings)))
    (tmp_path / "openapi.json").write_text(json.dumps(described))
    (tmp_path / "node_modules").symlink_to(NPM)
    shutil.copy(ROOT / "tests" / "typescript" / "client.ts", tmp_path)
    run("openapi-typescript", "openapi.json", "-o", "schema.d.ts", folder=tmp_path)
    run("tsc", "--noEmit", *_STRICT, *_MODULES, "client.ts", "schema.d.ts", folder=tmp_path)


def run(program: str, *arguments: str, folder: Path) -> None:
    done = subprocess.run([NPM / ".bin" / program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
