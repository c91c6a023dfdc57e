#!/bin/sh
# Resolves pyproject.toml into locks with hashes and without addresses. Usage: resolve.sh UV
set -eu
cd "$(dirname "$0")/../.."
resolve() { # OUT GROUP...
  out=$1; shift
  "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate "$@" -o "deploy/locks/$out"
}
UV=${1:-uv}
resolve dev.txt --group dev
for group in api worker worker-gpu local otel; do # the same versions everywhere
  resolve "$group.txt" --group "$group" --constraint deploy/locks/dev.txt
done
resolve docs.txt --group docs # Sphinx lives in .venv-docs: its pins do not hold back anything else.
# The same for the S3 server that the tests start (tests/support/s3_server.py): it lives in .venv-s3.
echo 'swift>=2.38,<3' | resolve s3.txt -
# Flower, which a test starts next to a worker: it lives in .venv-flower.
printf 'flower>=2,<3\ncelery[redis]\n' | resolve flower.txt --constraint deploy/locks/dev.txt -
