#!/bin/bash
# Master and slave on a directory in GlusterFS (examples/ha-gluster), each on a machine of its own, under the judge's load:
# the master killed, cut off from the bricks, frozen and woken; bricks killed, switched off and hung. Whatever happens, no two
# masters and nothing lost. Stops at the first that fails and leaves its logs.
# Usage: tests/gluster.sh PROGRAM [SCENARIO…]
# Needs root and the packages glusterfs-server and glusterfs-client; takes about ten minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
program=$(realpath "$1")
shift
all=(kill short-cut cut frozen brick bricks brick-machine short-hang hang)
scenarios=("${@:-${all[@]}}")
run=$(mktemp -d)
export GLUSTER_HOME=$run/gluster GLUSTER_TAG=jft GLUSTER_NET=10.94
example=examples/ha-gluster/gluster.sh
word=$(basename "$program")
seed=0

finish() {
    local code=$?
    touch "$run/over"
    for m in amq1 amq2; do signal $m KILL 2>/dev/null || true; done
    kill $(jobs -p) 2>/dev/null || true
    wait 2>/dev/null || true
    # What the machines of the storage have to say, before they go.
    [ $code = 0 ] || for m in brick1 brick2 brick3 amq1 amq2; do cp -r "$GLUSTER_HOME/$m/log" "$run/$m.logs" 2>/dev/null || true; done
    "$example" stop || true
    if [ $code = 0 ]; then rm -rf "$run"; else echo "logs are in $run" >&2; fi
}
trap finish EXIT

now() { date -u +%T.%3N; }
note() { echo "$(now)  $*" | tee -a "$run/events"; }
fail() { note "FAILED: $*"; tail -n 3 "$run"/amq?.log >&2; exit 1; }
other() { [ "$1" = amq1 ] && echo amq2 || echo amq1; }
front() { echo "$GLUSTER_NET.7.2${1#amq}"; }
# A signal for the broker on this machine; its processes are a world of their own.
signal() { "$example" in "$1" sh -c "kill -$2 \$(pidof '$word')"; }
bricks() { for n in 1 2 3; do "$example" in "brick$n" sh -c "kill -$1 \$(pidof glusterfsd)"; done; }
# The last word of a broker: ready, standby or ended.
role() { tail -n 1 "$run/$1.out"; }
is() { [ "$(role "$1")" = "$2" ]; }
epoch() { sed -n 's/.*this broker is master in epoch \([0-9]*\).*/\1/p' "$run/$1.log" | tail -n 1; }
master() { if is amq1 ready; then echo amq1; elif is amq2 ready; then echo amq2; else fail "there is no master"; fi; }
a_pair() { { is amq1 ready && is amq2 standby; } || { is amq2 ready && is amq1 standby; }; }
# The slave says whom it waits for, and that is the master there is now.
named() {
    local m
    m=$(master)
    grep 'is locked by another server' "$run/$(other "$m").log" | tail -n 1 | grep -q " on $m, process"
}
until_true() { # until_true SECONDS WHAT CMD…
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        [ $SECONDS -lt "$end" ] || fail "$what takes too long"
        sleep 0.1
    done
}

# Starts the broker again whenever it ends, as a supervisor does.
keep() {
    local code
    while [ ! -e "$run/over" ]; do
        code=0
        # Not itself the child of nsenter, which stands still together with its child and does not wake with it.
        "$example" in "$1" sh -c '"$@" & wait $!' keep \
            "$program" serve --config examples/ha-gluster/amq.toml --data "$GLUSTER_HOME/data/broker" \
            </dev/null >>"$run/$1.out" 2>>"$run/$1.log" || code=$?
        echo ended >>"$run/$1.out"
        echo "$(now)  broker on $1 ended with $code" >>"$run/events"
        sleep 1
    done
}

load() { # load SCENARIO SECONDS: the judge, with both brokers for each client
    local uris=() m
    for m in amq1 amq2; do uris+=(--broker "tcp://$(front $m):61616" --broker "stomp://$(front $m):61613"); done
    "$program" bench judge --failover "${uris[@]}" --duration "$2s" --pause 5ms --quiet 4s --seed $((seed += 1)) \
        >"$run/$1.judge" 2>"$run/$1.progress" &
    judge=$!
    # Under way before anything happens.
    sleep 6
}

judged() { # judged SCENARIO
    local code=0
    wait $judge || code=$?
    grep -E '^longest|sends confirmed|BROKEN +[a-z].* [1-9]|^verdict' "$run/$1.judge" | sed "s/^/    /" || true
    [ $code = 0 ] || { cat "$run/$1.judge" >&2; fail "$1: the judge is not content"; }
    until_true 60 "master and slave after $1" a_pair
    until_true 15 "the slave, to name its master," named
    # Each epoch has one master, and each master's epoch is higher than those before.
    grep -h 'this broker is master in epoch' "$run"/amq?.log | sort |
        sed 's/.*in epoch \([0-9]*\),.*/\1/' >"$run/epochs"
    sort -n -u "$run/epochs" | cmp -s - "$run/epochs" || fail "epochs are not one after the other: $(tr '\n' ' ' <"$run/epochs")"
    note "$1 done, master is $(master) in epoch $(epoch "$(master)")"
}
same_master() { # same_master MACHINE EPOCH
    is "$1" ready && [ "$(epoch "$1")" = "$2" ] || fail "$1 is not master in epoch $2 any more"
}

"$example" start
for m in amq1 amq2; do
    : >"$run/$m.out"
    keep $m &
    until_true 60 "the broker on $m" grep -qE '^(ready|standby)$' "$run/$m.out"
done
until_true 60 "master and slave" a_pair

for scenario in "${scenarios[@]}"; do
    m=$(master) s=$(other "$m") e=$(epoch "$m")
    note "$scenario: master is $m in epoch $e"
    case $scenario in
    kill)
        load $scenario 25
        signal "$m" KILL
        note "  master killed"
        until_true 30 "the slave" is "$s" ready
        note "  the slave is master"
        ;;
    short-cut)
        load $scenario 25
        "$example" cut "$m"
        sleep 3
        "$example" join "$m"
        note "  master was cut off from the bricks for 3 s"
        ;;
    cut)
        load $scenario 50
        "$example" cut "$m"
        note "  master cut off from the bricks"
        until_true 40 "the slave" is "$s" ready
        note "  the slave is master"
        sleep 10
        "$example" join "$m"
        note "  the old master's bricks are back"
        ;;
    frozen)
        load $scenario 45
        signal "$m" STOP
        "$example" cut "$m"
        note "  master frozen and cut off from the bricks"
        until_true 40 "the slave" is "$s" ready
        note "  the slave is master"
        "$example" join "$m"
        sleep 5
        # Somebody who knows the old master only asks it to confirm a message, from before it wakes.
        echo probe | timeout 20 "$program" send queue://probe --stdin --broker "stomp://$(front "$m"):61613" \
            >"$run/probe" 2>&1 &
        probe=$!
        sleep 1
        signal "$m" CONT
        note "  the old master has its bricks back and wakes"
        wait $probe && fail "the old master confirmed a message after its successor had begun"
        grep -q "lock of the journal is lost\|journal failed" "$run/$m.log" || fail "$m does not say why it ended"
        ;;
    # With several in a row the master may end: GlusterFS does not open files anew that were opened while a brick was away.
    brick | bricks)
        numbers=(1 2 3)
        [ $scenario = bricks ] || numbers=($((RANDOM % 3 + 1)))
        load $scenario $((15 + 20 * ${#numbers[@]}))
        for n in "${numbers[@]}"; do
            "$example" kill-brick $n
            sleep 4
            "$example" again-brick $n
            note "  brick $n was killed and is back"
            "$example" healed 60
            note "  and healed"
        done
        ;;
    brick-machine)
        load $scenario 50
        "$example" kill brick2
        note "  machine of brick 2 switched off"
        sleep 15
        "$example" again brick2
        note "  and back"
        "$example" healed 60
        note "  and healed"
        ;;
    short-hang | hang)
        seconds=3
        [ $scenario = short-hang ] || seconds=20
        load $scenario $((25 + seconds))
        bricks STOP
        sleep $seconds
        bricks CONT
        note "  all bricks stood still for $seconds s"
        ;;
    *) fail "no scenario $scenario: there are ${all[*]}" ;;
    esac
    judged "$scenario"
    case $scenario in short-cut | brick | short-hang) same_master "$m" "$e" ;; esac
done
note "no two masters, nothing lost"
