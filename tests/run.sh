#!/bin/sh
# Everything CI runs. Stops at the first failure.
set -eu
cd "$(dirname "$0")/.."

step() { printf '\n== %s (%s)\n' "$1" "$(date +%H:%M:%S)"; }

step "formatting"
cargo fmt --all --check

# The first of these builds RocksDB and wasmtime; they use one feature set, so nothing is built twice.
step "tests of all rooms, and of the program from outside"
cargo test --locked --release --workspace

step "lints"
cargo clippy --locked --release --workspace --all-targets -- -D warnings

step "stock policies are what their source says"
plugins/build.sh --check

step "the example policies"
tests/examples.sh "${CARGO_TARGET_DIR:-target}/release/jackfield"

step "the real clients"
tests/interop/against-jackfield.sh "${CARGO_TARGET_DIR:-target}/release/jackfield"
