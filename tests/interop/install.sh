#!/bin/sh
# install.sh [java] [mvn] [python3] [go]: checks that the named tools are there (all without arguments).
# As root on Debian or Ubuntu it installs the missing ones, else it says what is missing and fails.
set -eu
[ $# -gt 0 ] || set -- java mvn python3 go

present() {
    case $1 in
    java) command -v javac >/dev/null 2>&1 ;;
    python3) python3 -c 'import venv, ensurepip' >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

package() {
    case $1 in
    java) echo default-jdk-headless ;;
    mvn) echo maven ;;
    python3) echo python3-venv ;;
    go) echo golang ;;
    esac
}

missing=
packages=
for tool in "$@"; do
    present "$tool" || { missing="$missing $tool"; packages="$packages $(package "$tool")"; }
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages
    for tool in "$@"; do
        present "$tool" || { echo "install.sh: $tool is still missing after apt-get" >&2; exit 1; }
    done
else
    echo "install.sh: missing:$missing. On Debian or Ubuntu, as root: apt-get install$packages" >&2
    exit 1
fi
