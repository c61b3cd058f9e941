#!/bin/bash
# promotion.sh [--journal postgres|mariadb] [SIZE_MB…]
# How long a slave takes to serve when its master dies with a backlog of so many MB, in messages of 1 KiB (1024 and 5120): a
# pair on one directory, or with journal and a lease of a second in a database, the master filled and killed with -9. Prints what
# the slave found, and the times from the kill to its first word and to the first send that it confirmed. JACKFIELD is the
# program, JACKFIELD_BACKLOG_DIR where the data lie.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/database.sh"
journal=
case ${1:-}/${2:-} in
--journal/postgres | --journal/mariadb) journal=$2; shift 2 ;;
-*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac
program=$(realpath "${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}")
[ $# -gt 0 ] || set -- 1024 5120
home=$(mktemp -d "${JACKFIELD_BACKLOG_DIR:-/tmp}/jackfield-promotion.XXXXXX")
master= slave= bench=
end() {
    for pid in $master $slave $bench; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    master= slave= bench=
}
trap 'end; database_stop; rm -rf "$home"' EXIT
chmod 755 "$home"
cd "$home"
[ -z "$journal" ] || database_start "$journal" "$home/$journal" $((10000 + $$ % 20000))

# Sets pid to the broker NAME's, whose first words go to NAME.out.
start() { # NAME
    printf '[broker]\nname = "%s"\n[admin]\nsocket = ""\n[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:0"\n' "$1" >"$1.toml"
    printf '[[connector]]\nname = "stomp"\nuri = "stomp://127.0.0.1:0"\n' >>"$1.toml"
    [ -z "$journal" ] || printf '[lock]\nacquire_sleep_interval_ms = 1000\nkeep_alive_period_ms = 400\n[journal]\nurl = "%s"\n' \
        "$(database_url)" >>"$1.toml"
    : >"$1.out"
    "$program" serve --config "$1.toml" --data "data${journal:+-$1}" >"$1.out" 2>"$1.log" &
    pid=$!
}
await() { # NAME WORD
    until grep -q "^$2" "$1.out"; do
        kill -0 "$pid" || { cat "$1.log" >&2; exit 1; }
        sleep 0.005
    done
}
address() { sed -n "s/^listening $2 //p" "$1.out"; }
now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
# A file may go while its size is asked for; that is no fault.
folder_mb() { { du -sm "$1" 2>/dev/null || true; } | tail -n 1 | cut -f1; }
disk_mb() {
    case $journal in
    '') folder_mb data ;;
    mariadb) folder_mb "$journal/data/jackfield" ;;
    postgres) database_sql 'SELECT pg_database_size(current_database()) / 1048576' ;;
    esac
}

for size in "$@"; do
    rm -rf data data-*
    [ -z "$journal" ] || database_wipe
    start master
    master=$pid
    await master ready
    start slave
    slave=$pid
    await slave standby
    "$program" bench s7 --broker "tcp://$(address master openwire)" --count $((size * 1024)) --body 1024 --fresh-bodies --runs 1 \
        --warmup 1ms >bench.out 2>&1 &
    bench=$!
    until [ "$(disk_mb)" -ge "$size" ]; do kill -0 "$bench" || { cat bench.out >&2; exit 1; }; sleep 0.2; done
    killed=$(now_ms)
    kill -9 "$master"
    wait "$master" 2>/dev/null || true
    await slave ready
    ready=$(($(now_ms) - killed))
    until "$program" send after hello --broker "stomp://$(address slave stomp)" >/dev/null 2>&1; do sleep 0.01; done
    confirmed=$(($(now_ms) - killed))
    found=$(sed -n 's/.*: \([0-9]* messages of [0-9]* bytes found.*\)/\1/p' slave.log)
    master_after=$(sed -n 's/.*this broker is master in epoch [0-9]*, \(.*\)/\1/p' slave.log)
    echo "backlog of $size MB: ready $ready ms and a send confirmed $confirmed ms after the kill; $found; master $master_after"
    end
done
