#!/bin/sh
# Builds the stock policies from source into plugins/built/. Needs the target wasm32-unknown-unknown and nothing else;
# the components are kept in the tree so that building and running the broker needs neither.
#
#   plugins/build.sh            build all
#   plugins/build.sh --check    build into a scratch folder and fail if the kept components differ
set -eu
cd "$(dirname "$0")"
target=${CARGO_TARGET_DIR:-target}
out=built
if [ "${1:-}" = --check ]; then
    out=$(mktemp -d)
fi
mkdir -p "$out"

policies="round-robin least-in-flight"
# Paths of this machine must not be in the components.
home=${CARGO_HOME:-$HOME/.cargo}
RUSTFLAGS="--remap-path-prefix=$(pwd)=/plugins --remap-path-prefix=$home=/cargo"
export RUSTFLAGS
for policy in $policies; do
    cargo build --locked --release --target wasm32-unknown-unknown -p "$policy"
done
unset RUSTFLAGS
cargo build --locked -p componentize
for policy in $policies; do
    module=$target/wasm32-unknown-unknown/release/$(echo "$policy" | tr - _).wasm
    "$target/debug/componentize" "$module" "$out/$policy.wasm"
    if [ "$out" != built ]; then
        cmp "$out/$policy.wasm" "built/$policy.wasm"
    fi
done
