#!/bin/sh
# Sees to it that what building (and, with "test", testing) needs is there: installs it on Debian and Ubuntu where it may,
# and says plainly what is missing where it may not.
#
#   ./setup.sh          for `make run`
#   ./setup.sh test     for `make test`
set -eu

debian_rust="rustc-web cargo-web rustfmt-web rust-web-clippy"

have() { command -v "$1" >/dev/null 2>&1; }

packages=
want() { # want COMMAND PACKAGE
    have "$1" || packages="$packages $2"
}

wishes=
wish() { # wish COMMAND PACKAGE
    have "$1" || wishes="$wishes $2"
}

want c++ g++
want make make
# Compiles RocksDB in less than half the time (.cargo/cxx), and an example policy.
wish clang clang
want pkg-config pkg-config
# Not libclang-cpp.so, which other packages bring along and bindgen cannot use.
find /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu /usr/lib64 \( -name 'libclang.so*' -o -name 'libclang-[0-9]*.so*' \) \
    2>/dev/null | grep -q . || packages="$packages libclang-dev"
if [ "${1:-}" = test ]; then
    want java default-jdk-headless
    want javac default-jdk-headless
    want mvn maven
    want python3 python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || packages="$packages python3-venv"
    want go golang-go
    want fusermount3 fuse3
    want openssl openssl
    # The servers of the journal in a database; each test starts its own.
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || packages="$packages postgresql"
    want mariadb-install-db mariadb-server
    # For an example policy, which is left out of the tests without it.
    wish wasm-ld lld
fi
have cargo || [ -x "$HOME/.cargo/bin/cargo" ] || packages="$packages rustup curl"

install() { # install PACKAGE…
    run=
    if [ "$(id -u)" != 0 ]; then
        run="sudo -n"
        have sudo && sudo -n true 2>/dev/null || run=none
    fi
    if ! have apt-get || [ "$run" = none ]; then
        echo "setup: missing: $*" >&2
        echo "setup: these are Debian's names; install them (as root: apt-get install $*) and try again" >&2
        exit 1
    fi
    echo "setup: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    $run apt-get update -qq
    for package in "$@"; do
        $run apt-get install -y -qq --no-install-recommends "$package" >/dev/null && continue
        # Releases without a rustup package may have a new enough compiler, which their browsers are built with.
        [ "$package" = rustup ] &&
            $run apt-get install -y -qq --no-install-recommends $debian_rust >/dev/null &&
            echo "setup: this release has no rustup package; its own Rust serves instead ($(rustc --version))" && continue
        case $package in
        rustup) echo "setup: this release has neither rustup nor a new Rust; get it from https://rustup.rs and try again" >&2 ;;
        *) echo "setup: $package could not be installed" >&2 ;;
        esac
        exit 1
    done
}

# The list is meant to be split.
# shellcheck disable=SC2086
[ -z "$packages" ] || install $packages

for package in $wishes; do
    (install "$package") || echo "setup: goes on without $package: see what it is for in setup.sh" >&2
done

if [ "${1:-}" = test ]; then
    minor=$(go version | sed -n 's/^go version go1\.\([0-9]*\).*/\1/p')
    if [ "${minor:-0}" -lt 22 ]; then
        echo "setup: the STOMP client in Go needs Go 1.22 or later, here is: $(go version)" >&2
        echo "setup: put a newer one in front of it in PATH and try again" >&2
        exit 1
    fi
fi

PATH=$HOME/.cargo/bin:$PATH
# rust-toolchain.toml names the version; this fetches it if it is not there.
if ! cargo --version >/dev/null 2>&1; then
    echo "setup: the Rust toolchain of rust-toolchain.toml cannot be had; run 'rustup toolchain install' to see why" >&2
    exit 1
fi

# The stock policies are built for a target of its own. Where the toolchain cannot have it, Debian's compiler has; the
# linker of the same LLVM is a package that it does not depend on.
if [ "${1:-}" = test ] && ! plugins/build.sh --can 2>/dev/null; then
    if ! rustup target add wasm32-unknown-unknown >/dev/null 2>&1; then
        install rustc-web rust-web-src rust-web-llvm
        plugins/build.sh --can 2>/dev/null ||
            install "lld-$(/usr/bin/rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')"
    fi
    plugins/build.sh --can
fi
