#!/bin/bash
# compare.sh [--runs N] [--warmup T] [--duration T] [--out DIR] [--only "BROKER…"] [SCENARIO…]
# Brokers: jackfield, activemq, and jackfield-native, which has the native twin of its dispatch policy; jackfield-postgres,
# activemq-postgres, jackfield-mariadb and activemq-mariadb have their journal or JDBC store in a database server of this script's
# own, which syncs each commit.
# Jackfield beside a real ActiveMQ: same machine, same client, same settings, one after the other, a fresh process and
# an empty data folder for each run. Prints minimum / median / maximum of both; all figures stay in DIR as JSON.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
. "$here/database.sh"
runs=3 warmup=20s duration=10s out=/tmp/jackfield-compare-$$ brokers="jackfield activemq" scenarios=()
while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2; shift 2 ;;
    --warmup) warmup=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    --only) brokers=$2; shift 2 ;;
    -*) sed -n '2,7p' "$0" >&2; exit 2 ;;
    *) scenarios+=("$1"); shift ;;
    esac
done
[ ${#scenarios[@]} -gt 0 ] || scenarios=(start s1 s2 s3 s4w s5w s6 s7 s9 s10)
program=${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}
[ -x "$program" ] || { echo "compare.sh: no $program; build it (cargo build --release -p jackfield) or set JACKFIELD" >&2; exit 2; }
mkdir -p "$out"
work=$(mktemp -d)
chmod 755 "$work"
port=$((20000 + $$ % 20000)) stomp=$((40000 + $$ % 20000))
pid=
stop() {
    [ -z "$pid" ] || { kill -9 "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
trap 'stop; database_stop; rm -rf "$work"' EXIT

command_of() { # broker data: one word a line
    case $1 in
    jackfield | jackfield-native | jackfield-postgres | jackfield-mariadb)
        [ "$1" != jackfield-native ] && policy=round-robin || policy=native:round-robin
        printf '[default_destination]\ndispatch_policy = "%s"\n' "$policy" >"$work/jackfield.toml"
        printf '[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:%s"\n[[connector]]\nname = "stomp"\nuri = "stomp://127.0.0.1:%s"\n' \
            "$port" "$stomp" >>"$work/jackfield.toml"
        [ -z "$(engine_of "$1")" ] || printf '[journal]\nurl = "%s"\n' "$(database_url)" >>"$work/jackfield.toml"
        printf '%s\n' "$program" serve --config "$work/jackfield.toml" --data "$2"
        ;;
    activemq-postgres | activemq-mariadb)
        printf '%s\n' "$root/tests/interop/activemq/run-activemq.sh" "$2" "$port" "$stomp" jdbc.xml \
            -Dbroker.name=localhost -Dlease.ms=10000 -Dkeep.alive.ms=1000
        database_properties
        ;;
    activemq) printf '%s\n' "$root/tests/interop/activemq/run-activemq.sh" "$2" "$port" "$stomp" ;;
    *) echo "compare.sh: no broker named $1" >&2; exit 2 ;;
    esac
}

engine_of() { # broker
    case $1 in *-postgres) echo postgres ;; *-mariadb) echo mariadb ;; esac
}

# An empty data folder, and where the broker has a database an empty one of those.
empty() { # broker data
    rm -rf "$2"
    mkdir -p "$2"
    local engine
    engine=$(engine_of "$1")
    if [ -z "$engine" ] || [ "$engine" != "$database_engine" ]; then
        database_stop
        database_engine=
        [ -z "$engine" ] || { rm -rf "${work:?}/$engine"; database_start "$engine" "$work/$engine" $((15000 + $$ % 5000)); }
    else
        database_wipe
    fi
    # What was left to be written of the run before is no part of the next one.
    [ "$engine" != postgres ] || database_sql CHECKPOINT
}

start() { # broker data; sets pid
    mapfile -t words < <(command_of "$1" "$2")
    "${words[@]}" >"$out/$1.log" 2>&1 &
    pid=$!
    for _ in $(seq 600); do
        ! grep -qiE '^ready$' "$out/$1.log" || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    cat "$out/$1.log" >&2
    echo "compare.sh: $1 does not get ready" >&2
    exit 1
}

# The download and build of the real broker is no part of any figure.
case $brokers in *activemq*) "$root/tests/interop/build.sh" activemq ;; esac

for scenario in "${scenarios[@]}"; do
    for broker in $brokers; do
        for run in $(seq "$runs"); do
            data=$work/data
            empty "$broker" "$data"
            json=$out/$scenario.$broker.$run.json
            arguments=("$scenario" --broker "tcp://127.0.0.1:$port" --runs 1 --label "$broker" --json "$json")
            # A JVM needs the warm-up; ours compiles nothing while it runs. These measure without a load before them.
            case $broker in activemq*) before=$warmup ;; *) before=3s ;; esac
            case $scenario in s7 | s10 | s13) warm=$before ;; *) warm= ;; esac
            if [ "$scenario" = start ]; then
                mapfile -t words < <(command_of "$broker" "$data")
                for word in "${words[@]}"; do arguments+=("--command=$word"); done
            else
                start "$broker" "$data"
                if [ -n "$warm" ]; then
                    "$program" bench custom --persistent --producers 4 --consumers 4 --transacted 100 --window 4000 \
                        --broker "tcp://127.0.0.1:$port" --runs 1 --warmup 0s --duration "$warm" >/dev/null
                fi
                arguments+=(--pid "$pid" --warmup "$before" --duration "$duration")
            fi
            echo "$scenario $broker $run/$runs" >&2
            "$program" bench "${arguments[@]}" >"$out/$scenario.$broker.$run.txt" ||
                echo "compare.sh: $scenario $broker $run failed, see $out" >&2
            stop
        done
    done
done

python3 "$here/table.py" "$out" "${scenarios[@]}"
echo "all figures: $out" >&2
