#!/bin/sh
# run.sh HOST PORT: both STOMP suites against the broker at HOST PORT. One line per case, PASS or FAIL, and a
# closing line `N passed, M failed` for both together. The exit code is 0 only when every case passed.
# The virtual environment and the Go program are built in the cache folder, once.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 HOST PORT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
"$here/../build.sh" stomp >&2
. "$here/../cache.sh"

lines=$(mktemp)
trap 'rm -f "$lines" "$lines.all"' EXIT
trap 'exit 1' HUP INT TERM

# The suites' own closing lines are left out; a suite that ends without one counts as a failed case.
closing='^[0-9]+ passed, [0-9]+ failed$'
suite() {
    name=$1
    shift
    { "$@" || true; } | tee "$lines" | grep --line-buffered -vE "$closing" || true
    tail -n 1 "$lines" | grep -qE "$closing" || echo "FAIL $name: ended before its closing line" | tee -a "$lines"
    cat "$lines" >>"$lines.all"
}

suite python env PYTHONDONTWRITEBYTECODE=1 "$cache/venv/bin/python" "$here/python/suite.py" "$1" "$2"
suite go "$cache/stomp-go" "$1" "$2"

passed=$(grep -c '^PASS ' "$lines.all" || true)
failed=$(grep -c '^FAIL ' "$lines.all" || true)
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
