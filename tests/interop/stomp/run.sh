#!/bin/sh
# run.sh HOST PORT [--skip PREFIX]...: both STOMP suites against the broker at HOST PORT, at the same time. One line
# per case, PASS or FAIL, and a closing line `N passed, M failed` for both together. The exit code is 0 only when every
# case passed. Cases whose name starts with a PREFIX are left out.
# The virtual environment and the Go program are built in the cache folder, once.
set -eu
usage() {
    echo "usage: $0 HOST PORT [--skip PREFIX]..." >&2
    exit 2
}
[ $# -ge 2 ] || usage
host=$1 port=$2
shift 2
rest=$#
while [ "$rest" -gt 0 ]; do
    [ "$rest" -ge 2 ] && [ "$1" = --skip ] && [ -n "$2" ] || usage
    set -- "$@" --skip "$2"
    shift 2
    rest=$((rest - 2))
done
here=$(cd "$(dirname "$0")" && pwd)
"$here/../build.sh" stomp >&2
. "$here/../cache.sh"

home=$(mktemp -d)
python= go=
cleanup() {
    kill $python $go 2>/dev/null || true
    rm -rf "$home"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

# The suites' own closing lines are left out; a suite that ends without one counts as a failed case.
closing='^[0-9]+ passed, [0-9]+ failed$'
show() {
    grep --line-buffered -vE "$closing" || true
}
check() {
    tail -n 1 "$home/$1" | grep -qE "$closing" || echo "FAIL $1: ended before its closing line" | tee -a "$home/$1"
}

mkfifo "$home/python.lines" "$home/go.lines"
tee "$home/python" <"$home/python.lines" | show &
shown_python=$!
tee "$home/go" <"$home/go.lines" | show &
shown_go=$!
PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" "$here/python/suite.py" "$host" "$port" "$@" >"$home/python.lines" &
python=$!
"$cache/stomp-go" "$@" "$host" "$port" >"$home/go.lines" &
go=$!
wait $python || true
wait $go || true
wait $shown_python $shown_go || true
python= go=
check python
check go

passed=$(cat "$home/python" "$home/go" | grep -c '^PASS ' || true)
failed=$(cat "$home/python" "$home/go" | grep -c '^FAIL ' || true)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
