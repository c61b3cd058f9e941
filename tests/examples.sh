#!/bin/sh
# Makes a policy in each language as its author would, builds it by its stated command, and holds it to the contract and to
# the golden recording; and with Rust one of each world beside queues, without a recording. What this machine has no toolchain
# for is left out, and said.
#
#   tests/examples.sh PROGRAM [LANGUAGE|WORLD…]
#
# Libraries come from where the languages have them. Without a list JavaScript is left out: it takes as long as the others
# together. What was built is kept in a folder beside the program, so that a second run is quick.
set -eu
program=$(realpath "$1")
shift
worlds="routing auth topic group network"
languages=${*:-c go rust python $worlds}
by_default=${*:+no}
kept=${CARGO_TARGET_DIR:-$(dirname "$program")/..}/examples
# The longest that all of them may take together, seconds; what does not fit is left out.
bound=${EXAMPLES_SECONDS:-300}
here=$(cd "$(dirname "$0")/.." && pwd)

# The policy's own build command says where its target folder is; a folder for all would be another one.
unset CARGO_TARGET_DIR
mkdir -p "$kept"
kept=$(realpath "$kept")
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

have() { command -v "$1" >/dev/null 2>&1; }
# at_least WORD VERSION LEAST: whether a version is high enough, both as numbers with points
at_least() { [ "$(printf '%s\n%s\n' "$2" "$3" | sort -V | head -1)" = "$3" ] || lacks="$1 $3, here is $2"; }

# Whether this is a world, whose policy is written in Rust.
is_world() { case " $worlds " in *" $1 "*) ;; *) return 1 ;; esac; }

# What a language or a world lacks; empty if it can be built.
missing() {
    lacks=
    case $1 in
    rust | routing | auth | topic | group | network) "$here/plugins/build.sh" --can 2>/dev/null || lacks="a Rust compiler for wasm32-unknown-unknown" ;;
    c)
        have wasm-ld || lacks="lld's wasm-ld"
        have clang || lacks="clang"
        ;;
    go) if have go; then at_least Go "$(go env GOVERSION | sed 's/^go//')" 1.24; else lacks="Go 1.24"; fi ;;
    js)
        have npm || lacks="npm"
        if have node; then at_least Node.js "$(node --version | sed 's/^v//')" 20; else lacks="Node.js 20"; fi
        ;;
    python)
        python3 -c 'import venv, ensurepip' 2>/dev/null || lacks="Python's venv"
        if have python3; then
            at_least Python "$(python3 -c 'import platform; print(platform.python_version())')" 3.10
        else
            lacks="Python 3.10"
        fi
        ;;
    *) lacks="a template; there are rust, c, go, js, python and the worlds $worlds" ;;
    esac
}

left_out=
begun=$(date +%s)
for language in $languages; do
    missing "$language"
    if [ -n "$lacks" ]; then
        left_out="$left_out $language"
        echo "$language: left out, there is no $lacks"
        continue
    fi
    since=$(date +%s)
    left=$((bound - (since - begun)))
    if [ "$left" -le 0 ]; then
        left_out="$left_out $language"
        echo "$language: left out, the others took all of the $bound s"
        continue
    fi
    if is_world "$language"; then
        "$program" plugin new "home-$language" --world "$language" --lang rust --into "$fresh" >/dev/null
    else
        "$program" plugin new "home-$language" --lang "$language" --into "$fresh" >/dev/null
    fi
    mkdir -p "$kept/home-$language"
    cp -R "$fresh/home-$language/." "$kept/home-$language/"
    environment=
    if [ "$language" = rust ] || is_world "$language"; then
        environment=$("$here/plugins/build.sh" --env)
        # What is the same for all of them, the standard library where it comes as source, is built once.
        mkdir -p "$kept/target"
        [ -e "$kept/home-$language/target" ] || ln -s "$kept/target" "$kept/home-$language/target"
    fi
    status=0
    for step in build test; do
        left=$((bound - ($(date +%s) - begun)))
        [ "$left" -ge 1 ] || left=1
        # The list of assignments is meant to be split.
        # shellcheck disable=SC2086
        timeout "$left" env $environment "$program" plugin "$step" "$kept/home-$language" >"$fresh/$step.log" 2>&1 ||
            status=$?
        [ "$status" = 0 ] || break
    done
    if [ "$status" = 124 ]; then
        left_out="$left_out $language"
        echo "$language: left out, plugin $step took longer than what was left of $bound s"
        continue
    fi
    if [ "$status" != 0 ]; then
        cat "$fresh/$step.log" >&2
        echo "examples: jackfield plugin $step failed for $language" >&2
        exit 1
    fi
    kept_what="the contract"
    if ! is_world "$language"; then
        grep -q '^ok  it decides as' "$fresh/test.log" || {
            echo "examples: the golden recording was not played for $language" >&2
            exit 1
        }
        kept_what="the contract and the golden recording"
    fi
    echo "$language: built, keeps $kept_what, $(($(date +%s) - since)) s"
done
if [ "$by_default" != no ]; then
    left_out="$left_out js"
    echo "js: left out unless it is named, it takes as long as the others together"
fi
if [ -n "$left_out" ]; then
    echo "examples: left out:$left_out"
fi
