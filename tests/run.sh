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
rustup target add wasm32-unknown-unknown >/dev/null 2>&1 || true
if [ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    plugins/build.sh --check
else
    echo "skipped: the target wasm32-unknown-unknown is not installed (rustup target add wasm32-unknown-unknown)"
fi

step "the real clients"
tests/interop/against-jackfield.sh "${CARGO_TARGET_DIR:-target}/release/jackfield"
