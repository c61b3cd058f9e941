#!/bin/sh
# Builds the stock policies from source into plugins/built/. The components are kept in the tree so that building and
# running the broker needs no compiler for WebAssembly.
#
#   plugins/build.sh            build all
#   plugins/build.sh --check    build into a scratch folder and hold that to the kept ones: byte by byte if the compiler
#                               is the one that built those, and by the tests of the native twins if it is another
#   plugins/build.sh --can      say whether this machine can build them (status 0), and if not what it lacks
#   plugins/build.sh --env      print what cargo has to find in its environment to build any policy here, a line each
#
# It takes the Rust toolchain that has the target wasm32-unknown-unknown; without one, on Debian, the packages rustc-web
# and rust-web-src, which have a compiler for it and the sources of the standard library.
set -eu
cd "$(dirname "$0")"
policies="fair-share latency-aware least-in-flight priority round-robin sticky-by-property strict-order weighted"
wasm=wasm32-unknown-unknown
debian=/usr/bin/rustc

# Where the compiler's library for the target is, without asking rustup to fetch anything.
sysroot=$(rustc --print sysroot)
linker=
if [ -d "$sysroot/lib/rustlib/$wasm" ]; then
    compiler=rustc
    std="library as shipped"
elif [ -f /usr/lib/rustlib/src/rust/library/Cargo.lock ] &&
    "$debian" --print target-list 2>/dev/null | grep -qx "$wasm"; then
    compiler=$debian
    std="library from source"
    # Debian's compiler names a linker of a package that it does not depend on; any lld will do.
    for lld in "$sysroot"/lib/rustlib/*/bin/rust-lld /usr/bin/rust-lld /usr/bin/wasm-ld /usr/bin/lld /usr/bin/lld-*; do
        if [ -z "$linker" ] && [ -x "$lld" ]; then
            linker=$lld
        fi
    done
    if [ -z "$linker" ]; then
        echo "plugins: no lld to link WebAssembly with; install lld (Debian) and try again" >&2
        exit 1
    fi
else
    echo "plugins: no Rust compiler for WebAssembly here" >&2
    echo "plugins: run 'rustup target add $wasm', or on Debian 'apt-get install rustc-web rust-web-src rust-web-llvm'" >&2
    exit 1
fi
if [ "${1:-}" = --can ]; then
    exit 0
fi
if [ "${1:-}" = --env ]; then
    if [ "$compiler" = "$debian" ]; then
        echo "RUSTC=$compiler"
        echo "RUSTC_BOOTSTRAP=1"
        echo "CARGO_UNSTABLE_BUILD_STD=std,panic_abort"
        echo "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker"
    fi
    exit 0
fi

# A folder of their own within that of the broker, if that has one of its own.
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$(cd .. && pwd)/target}/plugins
host_target=${CARGO_TARGET_DIR%/plugins}
export CARGO_TARGET_DIR
out=built
if [ "${1:-}" = --check ]; then
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
fi
mkdir -p "$out"

for policy in auth-* group-* network-* routing-* topic-*; do
    policies="$policies $policy"
done
packages=$(for policy in $policies; do printf ' -p %s' "$policy"; done)
# Paths of this machine must not be in the components.
flags="--remap-path-prefix=$(pwd)=/plugins --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
# The lists of packages and of flags are meant to be split.
# shellcheck disable=SC2086
if [ "$compiler" = "$debian" ]; then
    # A panic names its file and no line: what a component is made of does not change with a comment above it.
    flags="$flags -Zlocation-detail=file"
    RUSTC=$compiler RUSTC_BOOTSTRAP=1 RUSTFLAGS=$flags CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=$linker \
        cargo build --locked --release --target "$wasm" -Zbuild-std=std,panic_abort $packages
else
    RUSTFLAGS=$flags cargo build --locked --release --target "$wasm" $packages
fi
cargo build --locked -p componentize
for policy in $policies; do
    module=$CARGO_TARGET_DIR/$wasm/release/$(echo "$policy" | tr - _).wasm
    "$CARGO_TARGET_DIR/debug/componentize" "$module" "$out/$policy.wasm"
done
{ "$compiler" --version; echo "$std"; } >"$out/compiler.txt"

if [ "$out" = built ]; then
    exit 0
fi
if cmp -s "$out/compiler.txt" built/compiler.txt; then
    for policy in $policies; do
        cmp "$out/$policy.wasm" "built/$policy.wasm"
    done
    echo "plugins: the kept components are what the sources give"
else
    echo "plugins: the kept components are by another compiler; the tests of the twins judge the fresh ones"
    cd ..
    # With the features of the whole workspace, as all else is built.
    CARGO_TARGET_DIR=$host_target JACKFIELD_STOCK_COMPONENTS=$out \
        cargo test --locked --release --workspace --test components -- auth:: twins:: worlds::
fi
