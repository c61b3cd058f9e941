#!/bin/bash
# failover.sh [OPTION…] jackfield|activemq directory|postgres|mariadb|lease|galera
# Three brokers on one store, JMS clients over failover: that produce and consume, in transactions and without, and a kill -9 of
# the master again and again; who was killed comes back and has to be a standby. A ledger in the clients' JVM judges: ends with 0
# if nothing was lost, doubled, torn or out of order. Prints the gaps that producers see.
#
#   directory  the journal on a shared directory with the lock there (ActiveMQ: KahaDB with shared-file-locker)
#   postgres, mariadb  journal and lease in a database, a server of its own (ActiveMQ: JDBC with lease-database-locker)
#   lease      the journal on a shared directory, the lease in PostgreSQL (Jackfield)
#   galera     journal and lease on three MariaDB servers with the same data (Jackfield)
#
#   --kills N             kills of the master (100); one more follows them, with nothing in the queues
#   --database-kills N    galera: after them, kills of a database server, in turn one that the master is not connected to and
#                         the one that it is (0)
#   --brokers N           brokers on the store (3)
#   --lease-ms N          how long a lease lasts, or a slave waits between tries (1000), the same for both
#   --keep-alive-ms N     how often it is proved or renewed (400), the same for both
#   --min-ms N, --max-ms N  time from when all clients go on until the next kill (500, 1500)
#   --seed N              varies loads and those times (1)
#   --control lost        shows that the ledger notices: after two kills all brokers die and the store is emptied
#   --control doubled     the same, but the store is put back to what it was two kills before (directory only)
#   --out DIR             logs and report (/tmp/jackfield-failover-…)
# More options of the load go behind --: -- --producers 8 --batch 20.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/database.sh"
kills=100 database_kills=0 brokers=3 lease=1000 alive=400 min=500 max=1500 seed=1 control= out= words=() load=()
while [ $# -gt 0 ]; do
    case $1 in
    --kills) kills=$2; shift 2 ;;
    --database-kills) database_kills=$2; shift 2 ;;
    --brokers) brokers=$2; shift 2 ;;
    --lease-ms) lease=$2; shift 2 ;;
    --keep-alive-ms) alive=$2; shift 2 ;;
    --min-ms) min=$2; shift 2 ;;
    --max-ms) max=$2; shift 2 ;;
    --seed) seed=$2; shift 2 ;;
    --control) control=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --) shift; load=("$@"); break ;;
    -*) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0" >&2; exit 64 ;;
    *) words+=("$1"); shift ;;
    esac
done
broker=${words[0]:-} store=${words[1]:-}
fail() { echo "failover.sh: $*" >&2; exit 1; }
case $broker-$store in
jackfield-directory | jackfield-postgres | jackfield-mariadb | jackfield-lease | jackfield-galera) ;;
activemq-directory | activemq-postgres | activemq-mariadb) load+=(--lenient-marks) ;;
*) sed -n '2,/^set/{/^set/d;s/^# \?//p}' "$0" >&2; exit 64 ;;
esac
case $control-$store in
- | -* | lost-* | doubled-directory) ;;
*) fail "--control $control does not go with $store" ;;
esac
[ "$database_kills" = 0 ] || [ "$store" = galera ] || fail "--database-kills needs galera"
[ -z "$control" ] || kills=2
program=${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}
[ "$broker" != jackfield ] || [ -x "$program" ] || fail "no $program; build it (make build) or set JACKFIELD"
out=${out:-/tmp/jackfield-failover-$$}
mkdir -p "$out"
work=$(mktemp -d)
chmod 755 "$work"
# Below those that the system gives to whoever connects.
port=$((10000 + $$ % 370 * 60)) database=$((10000 + $$ % 370 * 60 + 20))
pids=() client= galera_started=
export GALERA_HOME=$work/galera GALERA_PORT=$database GALERA_PASSWORD=$database_password
cleanup() {
    for pid in "${pids[@]}" $client; do kill -9 "$pid" 2>/dev/null || true; done
    wait "${pids[@]}" $client 2>/dev/null || true
    database_stop
    [ -z "$galera_started" ] || "$root/examples/ha-database/galera.sh" stop
    rm -rf "$work"
}
trap cleanup EXIT
# No part of any figure, and before anything waits for it.
[ "$broker" = jackfield ] && "$root/tests/interop/build.sh" jms || "$root/tests/interop/build.sh" jms activemq

url=
case $store in
postgres | mariadb) database_start "$store" "$work/$store" "$database" && url=$(database_url) ;;
lease) database_start postgres "$work/postgres" "$database" && url=$(database_url) ;;
galera)
    galera_started=yes
    url=$("$root/examples/ha-database/galera.sh" start)
    ;;
esac

configure() { # N
    printf '[broker]\nname = "broker-%s"\n[admin]\nsocket = ""\n' "$1"
    printf '[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:%s"\n' $((port + $1))
    printf '[lock]\nkeep_alive_period_ms = %s\nacquire_sleep_interval_ms = %s\n' "$alive" "$lease"
    case $store in
    lease) printf 'type = "lease-database-locker"\nurl = "%s"\n' "$url" ;;
    postgres | mariadb | galera) printf '[journal]\nurl = "%s"\n' "$url" ;;
    esac
}

# What a broker says goes to a file of its own for each of its lives, so that a word in it is one of this life.
start() { # N
    local said=$work/said.$1
    [ ! -f "$said" ] || cat "$said" >>"$out/broker-$1.log"
    : >"$said"
    if [ "$broker" = jackfield ]; then
        configure "$1" >"$work/$1.toml"
        # The directory is shared where the journal is on it.
        case $store in directory | lease) data=$work/data ;; *) data=$work/data-$1 ;; esac
        "$program" serve --config "$work/$1.toml" --data "$data" >>"$said" 2>&1 </dev/null 3>&- 4<&- &
    else
        local properties=("-Dbroker.name=broker-$1" "-Dlease.ms=$lease" "-Dkeep.alive.ms=$alive") config=shared-file.xml
        if [ "$store" != directory ]; then
            config=jdbc.xml
            mapfile -t -O "${#properties[@]}" properties < <(database_properties)
        fi
        "$root/tests/interop/activemq/run-activemq.sh" "$work/data" $((port + $1)) $((port + 10 + $1)) "$config" \
            "${properties[@]}" >>"$said" 2>&1 </dev/null 3>&- 4<&- &
    fi
    pids[$1]=$!
}

is_ready() { grep -qiE '^ready$' "$work/said.$1"; }
is_standby() { grep -qE '^standby|now in slave mode|failed to acquire lease' "$work/said.$1"; }

await() { # is_ready|is_standby N
    for _ in $(seq 1200); do
        ! "$1" "$2" || return 0
        kill -0 "${pids[$2]}" 2>/dev/null || { tail -n 30 "$work/said.$2" >&2; fail "broker $2 has ended, see $out"; }
        sleep 0.05
    done
    tail -n 30 "$work/said.$2" >&2
    fail "broker $2 does not come to ${1#is_}"
}

find_master() { # but not N; sets master
    for _ in $(seq 2400); do
        for n in $(seq 0 $((brokers - 1))); do
            [ "$n" = "${1:-}" ] || ! is_ready "$n" || ! kill -0 "${pids[$n]}" 2>/dev/null || { master=$n; return 0; }
        done
        sleep 0.05
    done
    fail "no slave became master, see $out"
}

hear() { # WORD: the next line that begins with it
    while IFS= read -r -t 150 line <&4; do
        case $line in
        "$1"*) return 0 ;;
        *) echo "$line" | tee -a "$out/report" ;;
        esac
    done
    [ -z "$client" ] || kill -QUIT "$client" 2>/dev/null || true
    fail "the clients do not say $1; see $out/clients.log"
}

pause() { # a time between min and max, by the seed
    local ms=$((min + RANDOM % (max - min + 1)))
    sleep "$((ms / 1000)).$(printf %03d $((ms % 1000)))"
}

# The time goes out before the signal, so that nothing confirmed by the next master is taken for the last one's.
kill_master() {
    dead=$master
    echo "kill ${EPOCHREALTIME/[.,]/} master" >&3
    kill -9 "${pids[$dead]}"
    wait "${pids[$dead]}" 2>/dev/null || true
}

kill_all() {
    echo "kill ${EPOCHREALTIME/[.,]/} all brokers" >&3
    kill -9 "${pids[@]}"
    wait "${pids[@]}" 2>/dev/null || true
}

start_all() {
    for n in $(seq 0 $((brokers - 1))); do start "$n"; done
    find_master
}

# A lease that ran out ends the process of a master that lost it: its supervisor starts it again.
start_who_ended() {
    for n in $(seq 0 $((brokers - 1))); do
        kill -0 "${pids[$n]}" 2>/dev/null || { wait "${pids[$n]}" || echo "broker $n had ended with $? and is started again" | tee -a "$out/report" >&2; start "$n"; }
    done
}

next_master() {
    # A lone broker is its own successor.
    [ "$brokers" != 1 ] || { start "$dead"; find_master; return 0; }
    find_master "$dead"
    start "$dead"
    await is_standby "$dead"
    ! is_ready "$dead" || fail "broker $dead came back as master beside broker $master"
}

empty_store() {
    rm -rf "$work"/data "$work"/data-*
    case $store in
    postgres | mariadb | lease) database_wipe ;;
    galera) galera_sql 0 "DROP DATABASE activemq; CREATE DATABASE activemq" ;;
    esac
}

# Not with the clients' pipes, which its servers would keep open.
galera() { "$root/examples/ha-database/galera.sh" "$@" 3>&- 4<&-; }

galera_sql() { # SERVER STATEMENT
    mariadb --no-defaults --protocol=tcp -h 127.0.0.1 -P $((database + 10 * $1)) -u jackfield -p"$database_password" -N -B -e "$2"
}

# The server with which the master's process has connections.
galera_of_master() {
    local n found
    for n in 0 1 2; do
        # Read to its end: ss that nobody listens to any more counts as failed.
        found=$(ss -Htnp state established "( dport = :$((database + 10 * n)) )")
        [[ $found != *"pid=${pids[$master]},"* ]] || { echo "$n"; return 0; }
    done
    fail "the master is connected to no server"
}

RANDOM=$seed
start 0
await is_ready 0
for n in $(seq 1 $((brokers - 1))); do start "$n"; await is_standby "$n"; done
master=0
addresses=$(for n in $(seq 0 $((brokers - 1))); do printf 'tcp://127.0.0.1:%s,' $((port + n)); done)
mkfifo "$work/in" "$work/out"
"$root/tests/interop/jms/run.sh" "${addresses%,}" failover-load --seed "$seed" "${load[@]}" \
    <"$work/in" >"$work/out" 2>"$out/clients.log" &
client=$!
exec 3>"$work/in" 4<"$work/out"
hear READY
for kill in $(seq "$kills"); do
    pause
    if [ "$control" = doubled ] && [ "$kill" = 1 ]; then
        kill_all
        cp -a "$work/data" "$work/before"
        start_all
    elif [ -n "$control" ] && [ "$kill" = 2 ]; then
        kill_all
        empty_store
        [ "$control" = lost ] || mv "$work/before" "$work/data"
        start_all
    else
        kill_master
        next_master
    fi
    hear AGAIN
    echo "kill $kill/$kills: broker $master is master, all clients go on" >&2
done
for kill in $(seq "$database_kills"); do
    pause
    victim=$(galera_of_master) which="to which the master was connected"
    # In turn another one.
    [ $((kill % 2)) = 0 ] || { victim=$(((victim + 1) % 3)) which="to which the master was not connected"; }
    echo "kill ${EPOCHREALTIME/[.,]/} database server" >&3
    galera kill "$victim"
    hear AGAIN
    find_master
    echo "database kill $kill/$database_kills: server $victim, $which; broker $master is master, all clients go on" | tee -a "$out/report" >&2
    galera again "$victim"
    start_who_ended
    for n in $(seq 0 $((brokers - 1))); do [ "$n" = "$master" ] || await is_standby "$n"; done
done
echo end >&3
hear DRAINED
[ "$database_kills" = 0 ] || { start_who_ended; find_master; }
kill_master
next_master
echo verdict >&3
exec 3>&-
tee -a "$out/report" <&4
status=0
wait "$client" || status=$?
client=
for n in $(seq 0 $((brokers - 1))); do cat "$work/said.$n" >>"$out/broker-$n.log"; done
echo "$broker on $store, lease or poll $lease ms, kept alive each $alive ms; logs: $out"
if [ -n "$control" ]; then
    word=$(echo "$control" | tr a-z A-Z)
    [ "$status" != 0 ] && grep -qE "BROKEN $word +[1-9]" "$out/report" || fail "the ledger did not notice what was $control"
    echo "control: the ledger noticed what was $control"
    exit 0
fi
exit "$status"
