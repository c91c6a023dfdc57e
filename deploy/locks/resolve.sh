#!/bin/sh
# Resolves pyproject.toml into locks with hashes and without addresses. Usage: resolve.sh UV
set -eu
cd "$(dirname "$0")/../.."
resolve() { # OUT EXTRA...
  out=$1; shift
  "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate "$@" -o "deploy/locks/$out"
}
UV=${1:-uv}
resolve dev.txt pyproject.toml --extra dev
resolve api.txt pyproject.toml --extra api
resolve worker.txt pyproject.toml --extra worker
resolve worker-gpu.txt pyproject.toml --extra worker-gpu
# The S3 server that the tests start (tests/s3_server.py) lives in .venv-s3: its pins are no business of ours.
echo 'swift>=2.38,<3' | resolve s3.txt -
