#!/usr/bin/env bash
# Has Python's securesystemslib, tuf and in-toto-attestation check what we sign, and has us read a catalogue
# that Python wrote. Makes a throw-away environment unless SALVE_PYTHON names one that has the requirements.
# usage: tests/python/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
scratch=$(mktemp -d); trap 'rm -rf "$scratch"' EXIT
python=${SALVE_PYTHON:-}
if [ -z "$python" ]; then
  python3 -m venv "$scratch/venv"
  "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/python/requirements.txt
  python=$scratch/venv/bin/python
fi
cargo build --quiet --locked --workspace --example read_catalogue
target=$(cargo metadata --no-deps --format-version 1 --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
for bundle in evidence evidence-seen; do
    "$python" tests/python/check_bundle.py "tests/vectors/$bundle.bundle" tests/vectors/evidence-root.json
done
"$python" tests/python/check_vectors.py --reader "$target/debug/examples/read_catalogue"
