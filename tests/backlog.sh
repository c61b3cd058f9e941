#!/bin/bash
# A backlog on disk: the broker's memory while it piles up and drains, and the disk space given back afterwards.
# Usage: tests/backlog.sh PROGRAM [SIZE_MB, default 2048]. Fails when a bound is broken.
set -euo pipefail
program=$(realpath "$1")
size_mb=${2:-2048}
peak_mb_max=300
# What may stay on disk after the drain: recycled log files and the engine's own notes, whatever the backlog was.
floor_mb=96
give_back_s_max=120

home=$(mktemp -d "${JACKFIELD_BACKLOG_DIR:-/tmp}/jackfield-backlog.XXXXXX")
broker=
stop() {
    [ -z "$broker" ] || { kill "$broker" 2>/dev/null || true; wait "$broker" 2>/dev/null || true; }
    rm -rf "$home"
}
trap stop EXIT

printf '[[connector]]\nuri = "tcp://127.0.0.1:0"\nname = "openwire"\n' >"$home/jackfield.toml"
mkfifo "$home/said"
"$program" serve --config "$home/jackfield.toml" --data "$home/data" >"$home/said" 2>"$home/log" &
broker=$!
address=
while read -r word protocol where; do
    [ "$word" != listening ] || [ "$protocol" != openwire ] || address=$where
    [ "$word" != ready ] || break
done <"$home/said"
[ -n "$address" ] || { cat "$home/log" >&2; echo "backlog.sh: the broker did not start" >&2; exit 1; }

# A file may go while its size is asked for; that is no fault.
disk_mb() { { du -sm "$home/data" 2>/dev/null || true; } | tail -n 1 | cut -f1; }
memory_mb() { awk -v key="$1:" '$1 == key { print int($2 / 1024) }' "/proc/$broker/status"; }

# The most that lies on disk is seen from outside, while the load generator is at work.
most=0
"$program" bench s7 --broker "tcp://$address" --count $((size_mb * 1024)) --body 1024 --fresh-bodies --runs 1 --warmup 1ms \
    --pid "$broker" >"$home/bench" 2>"$home/progress" &
bench=$!
while kill -0 "$bench" 2>/dev/null; do
    now=$(disk_mb)
    [ "${now:-0}" -le "$most" ] || most=$now
    sleep 0.1
done
wait "$bench" || { cat "$home/progress" "$home/log" >&2; exit 1; }
cat "$home/bench"

allowed=$((most / 10 > floor_mb ? most / 10 : floor_mb))
begun=$SECONDS
while [ "$(disk_mb)" -gt "$allowed" ] && [ $((SECONDS - begun)) -lt $give_back_s_max ]; do sleep 0.5; done
left=$(disk_mb)
peak=$(memory_mb VmHWM)
figure() { awk -v key="$1" '$2 == key { gsub(",", "", $4); print $4 }' "$home/bench"; }

printf 'backlog of %s MB: memory %s MB piled, %s MB peak; %s messages/s in, %s out; disk %s MB piled, %s MB %s s after the drain; lost %s\n' \
    "$size_mb" "$(figure rss_piled_mb)" "$peak" "$(figure produced_per_s)" "$(figure drained_per_s)" \
    "$most" "$left" "$((SECONDS - begun))" "$(figure lost)"
fail=0
[ "$peak" -lt "$peak_mb_max" ] || { echo "backlog.sh: memory reached $peak MB, at most $peak_mb_max are allowed" >&2; fail=1; }
[ "$left" -le "$allowed" ] || { echo "backlog.sh: $left MB are left on disk, at most $allowed are allowed" >&2; fail=1; }
[ "$(figure lost)" = 0 ] || { echo "backlog.sh: messages were lost" >&2; fail=1; }
exit $fail
