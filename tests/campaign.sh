#!/bin/bash
# The long campaigns, with a summary at the end that can be pasted. Stops at the first that fails.
# Usage: tests/campaign.sh PROGRAM [KILLS] [CUTS] [SEEDS] [BACKLOG_MB] [FUZZ_SECONDS] [FAILOVERS] [LOCK_SEEDS] [JMS_FAILOVERS]
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1
kills=${2:-200}
cuts=${3:-200}
seeds=${4:-20000}
backlog_mb=${5:-2048}
fuzz_s=${6:-60}
failovers=${7:-100}
lock_seeds=${8:-100000}
jms_failovers=${9:-100}
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
summary=$home/summary

echo "== kills: $kills, both protocols"
"$program" bench kill --program "$program" --data "$home/kills" --kills "$kills" --seed 1 --both | tee "$home/kills.log"
grep -E '^kill campaign|confirmed  |BROKEN|^verdict' "$home/kills.log" >>"$summary"

echo "== failovers: $failovers, three brokers on one directory, both protocols"
"$program" bench kill --program "$program" --data "$home/failovers" --standbys 2 --kills "$failovers" --seed 1 --both |
    tee "$home/failovers.log"
grep -E '^kill campaign|^gap seen|confirmed  |BROKEN|^verdict' "$home/failovers.log" >>"$summary"

. tests/bench/database.sh
stores=directory
! database_has postgres || stores="$stores postgres lease"
! database_has mariadb || stores="$stores mariadb"
! database_has galera || stores="$stores galera"
for store in $stores; do
    echo "== failovers of JMS clients: $jms_failovers, three brokers on one store: $store"
    JACKFIELD=$program tests/bench/failover.sh --kills "$jms_failovers" --out "$home/jms.$store" jackfield "$store"
    echo "JMS clients, $store:" >>"$summary"
    grep -E '^failover load|^gap|confirmed  |BROKEN|^verdict' "$home/jms.$store/report" >>"$summary"
done

echo "== simulated power cuts: $cuts"
cargo run --locked --release -q -p powercut -- cuts "$cuts" | tee "$home/cuts.log"
tail -n 1 "$home/cuts.log" >>"$summary"

echo "== simulated lives: $seeds seeds"
cargo run --locked --release -q -p sim -- run --seeds "0..$seeds" | tee "$home/sim.log"
tail -n 1 "$home/sim.log" >>"$summary"

echo "== lock keepers: $lock_seeds seeds"
cargo run --locked --release -q -p sim -- lock --seeds "0..$lock_seeds" | tee "$home/lock.log"
tail -n 1 "$home/lock.log" >>"$summary"

echo "== a backlog of $backlog_mb MB"
tests/backlog.sh "$program" "$backlog_mb" | tee "$home/backlog.log"
tail -n 1 "$home/backlog.log" >>"$summary"

echo "== fuzzing: $fuzz_s s for each decoder"
tests/fuzz.sh "$fuzz_s" | tee "$home/fuzz.log"
cat "$home/fuzz.log" >>"$summary"

if [ "$(id -u)" = 0 ] && command -v glusterd >/dev/null && [ -e /dev/fuse ]; then
    echo "== master and slave on GlusterFS"
    tests/gluster.sh "$program" | tee "$home/gluster.log"
    tail -n 1 "$home/gluster.log" >>"$summary"
else
    echo "== no GlusterFS here, or not root: master and slave on it are left out" | tee -a "$summary"
fi

printf '\n== summary\n'
cat "$summary"
