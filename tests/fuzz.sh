#!/bin/sh
# The fuzz targets in their long form: each decoder for so many seconds, by a new seed. Usage: tests/fuzz.sh SECONDS [SEED]
# They need no compiler but the usual one; an input that makes a decoder panic is kept, and its file named.
set -eu
cd "$(dirname "$0")/.."
JACKFIELD_FUZZ_SECONDS=$1
JACKFIELD_FUZZ_SEED=${2:-$(date +%s)}
export JACKFIELD_FUZZ_SECONDS JACKFIELD_FUZZ_SEED
set --
for room in wire selector message journal; do set -- "$@" -p "$room"; done
said=$(mktemp)
trap 'rm -f "$said"' EXIT
if cargo test --locked --release -q "$@" --test fuzz -- --nocapture >"$said" 2>&1; then
    grep -o 'host/.*: seed .*' "$said"
else
    cat "$said" >&2
    echo "fuzz.sh: a decoder failed, seed $JACKFIELD_FUZZ_SEED" >&2
    exit 1
fi
