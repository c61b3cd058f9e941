#!/bin/bash
# runaway.sh [ROUNDS [DURATION]]
# What a policy that fails on each call costs the queues beside it: 1,000 persistent messages a second on a queue of its own,
# with 200 a second on another whose policy is good, loops for ever, traps, or answers nonsense; in turn, ROUNDS times.
# Prints p50 and p99 of the first queue, and what the second got.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
rounds=${1:-5} duration=${2:-10s}
program=${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}
work=$(mktemp -d)
port=$((20000 + $$ % 20000))
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
trap 'stop; rm -rf "$work"' EXIT
# Of the whole workspace, so that it is built with the features that everything else has.
(cd "$root" && cargo build --locked --release --workspace --example hostile)
"${CARGO_TARGET_DIR:-$root/target}/release/examples/hostile" "$work"

for round in $(seq "$rounds"); do
    for kind in good loops traps nonsense; do
        {
            printf '[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:%s"\n' "$port"
            if [ "$kind" != good ]; then
                printf '[[policy.component]]\nname = "%s"\nfile = "%s"\n' "$kind" "$work/$kind.wasm"
                printf '[[destination]]\nqueue = "bench.custom.>"\ndispatch_policy = "%s"\n' "$kind"
            fi
        } >"$work/jackfield.toml"
        "$program" serve --config "$work/jackfield.toml" --data "$work/data" >"$work/log" 2>&1 &
        pid=$!
        until grep -qi ready "$work/log"; do kill -0 "$pid"; sleep 0.1; done
        load=("$program" bench --broker "tcp://127.0.0.1:$port" --runs 1 --warmup 2s --duration "$duration")
        "${load[@]}" custom --rate 200 --json "$work/beside.json" >/dev/null &
        beside=$!
        "${load[@]}" s9 --json "$work/s9.json" >/dev/null
        wait "$beside"
        python3 - "$kind" "$work/s9.json" "$work/beside.json" <<'P'
import json, sys
def run(path):
    def find(node):
        if isinstance(node, dict):
            if "p99_ms" in node: return node
            node = list(node.values())
        for each in node if isinstance(node, list) else []:
            found = find(each)
            if found: return found
    return find(json.load(open(path)))
quiet, bad = run(sys.argv[2]), run(sys.argv[3])
print(f"{sys.argv[1]:9} p50 {quiet['p50_ms']:.2f} ms  p99 {quiet['p99_ms']:.2f} ms   beside it {bad['consumed_per_s']:.0f}/s, lost {bad.get('lost', 0):.0f}")
P
        stop
        rm -rf "$work/data"
    done
done
