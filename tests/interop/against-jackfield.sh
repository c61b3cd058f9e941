#!/bin/sh
# Starts the program on ports of its own and drives the real clients through it. Usage: against-jackfield.sh PROGRAM
set -eu
program=$(realpath "$1")
cd "$(dirname "$0")"
home=$(mktemp -d)
broker=
cleanup() {
    [ -z "$broker" ] || kill "$broker" 2>/dev/null || true
    rm -rf "$home"
}
trap cleanup EXIT INT TERM

cat >"$home/jackfield.toml" <<TOML
[[connector]]
name = "openwire"
uri = "tcp://127.0.0.1:0"
[[connector]]
name = "stomp"
uri = "stomp://127.0.0.1:0"
TOML
"$program" serve --config "$home/jackfield.toml" --data "$home/data" >"$home/out" 2>"$home/log" &
broker=$!
while ! grep -q '^ready' "$home/out"; do
    kill -0 "$broker" || { cat "$home/log"; exit 1; }
    sleep 0.1
done
openwire=$(sed -n 's/^listening openwire //p' "$home/out")
stomp=$(sed -n 's/^listening stomp //p' "$home/out")

status=0
# XA is not served yet; every other case is.
jms/run.sh "tcp://$openwire" --skip xa. || status=1
stomp/run.sh "${stomp%:*}" "${stomp##*:}" || status=1
if [ "$status" != 0 ]; then
    echo "the broker's log:"
    tail -n 50 "$home/log"
fi
exit "$status"
