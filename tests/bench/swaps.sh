#!/bin/bash
# swaps.sh A.wasm B.wasm [SWAPS [SECONDS]]
# The dispatch policy of queues in use goes from A to B and back, SWAPS times in SECONDS, under the judge's persistent load:
# 32 consumers, 1,000 message groups on each queue. Beside it 200 messages a second through a queue with the same policy, as
# long before the swaps as during them. Prints both latencies, how long the queues stood still for a swap, and the judge's
# verdict; ends with 0 if nothing was lost, doubled or out of order.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
[ $# -ge 2 ] || { sed -n '2,7p' "$0" >&2; exit 2; }
a=$(realpath "$1") b=$(realpath "$2") swaps=${3:-100} seconds=${4:-20}
program=${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}
work=$(mktemp -d)
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
trap 'stop; rm -rf "$work"' EXIT
cd "$work"
printf '[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:0"\n' >jackfield.toml
"$program" serve >out 2>log &
pid=$!
until grep -q '^ready' out; do kill -0 "$pid"; sleep 0.1; done
broker=tcp://$(sed -n 's/^listening openwire //p' out)
"$program" plugin deploy swapped "$a" >/dev/null
"$program" plugin deploy swapped "$b" >/dev/null
for pattern in 'judge.>' 'bench.>'; do "$program" plugin bind swapped "$pattern" >/dev/null; done

probe() { # file
    "$program" bench custom --persistent --rate 200 --broker "$broker" --runs 1 --warmup 1s --duration "${seconds}s" --json "$1" >/dev/null
    python3 - "$1" <<'P'
import json, sys
def find(node):
    if isinstance(node, dict):
        if "p99_ms" in node: return node
        node = list(node.values())
    for each in node if isinstance(node, list) else []:
        found = find(each)
        if found: return found
f = find(json.load(open(sys.argv[1])))
print(f"p50 {f['p50_ms']:.2f} ms  p99 {f['p99_ms']:.2f} ms  worst {f['max_ms']:.2f} ms  lost {f.get('lost', 0):.0f}")
P
}

"$program" bench judge --broker "$broker" --duration "$((2 * seconds + 8))s" --consumers 32 --groups 1000 >judge 2>&1 &
judge=$!
echo "without swaps: $(probe before.json)"
probe during.json >during &
probing=$!
before=$("$program" plugin list --json | python3 -c 'import json,sys; print(sum(p.get("swaps", 0) for p in json.load(sys.stdin)["policies"]))')
for swap in $(seq "$swaps"); do
    "$program" plugin promote swapped --generation $((1 + (swap - 1) % 2)) >/dev/null
    sleep "$(python3 -c "print(max(0, $seconds / $swaps - 0.06))")"
done
wait "$probing"
echo "with $swaps swaps: $(cat during)"
verdict=0
wait "$judge" || verdict=$?
"$program" plugin list --json | python3 -c '
import json, sys
before = int(sys.argv[1])
for p in json.load(sys.stdin)["policies"]:
    if p["name"] == "swapped":
        batches = {k: v for k, v in p["batches"].items() if v}
        times, sum = p["swap_times"], 0
        calls, mean, longest = times["calls"], times["nanos"] / max(1, times["calls"]) / 1e6, times["nanos_most"] / 1e6
        for bucket in times["buckets"]:
            sum, end = sum + bucket["calls"], bucket.get("up_to_us", float("inf")) / 1e3
            if sum * 100 >= calls * 99: break
        print(f"a queue stood still for a swap: {calls} times, mean {mean:.3f} ms, p99 up to {end} ms, longest {longest:.3f} ms")
        print("exchanges on queues", p["swaps"] - before, " refused", p["swaps_refused"], " undone", p["swaps_undone"], " batches", batches)' "$before"
"$program" plugin history swapped | grep -icE 'taken back|refused' | sed 's/^/taken back or refused: /' || true
grep -E 'confirmed|BROKEN|order|^verdict|judge' judge || cat judge
exit "$verdict"
