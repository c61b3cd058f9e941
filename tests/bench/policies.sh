#!/bin/bash
# policies.sh [--runs N] [--duration T] [--out DIR] [COMPONENT.wasm…]
# What a dispatch policy costs while messages flow: the native round robin, the same as a WebAssembly component (the broker's own
# default), and each component given, one after the other in each run; with 1 and 8 consumers, with and without message groups.
# Persistent messages, 4 producers, 100 to a transaction, so that the policy is a larger part of the whole than with a sync for each.
# Prints minimum / median / maximum of messages a second and of processor seconds for 100,000 messages; all figures stay in DIR.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
runs=3 duration=5s out=/tmp/jackfield-policies-$$ components=()
while [ $# -gt 0 ]; do
    case $1 in
    --runs) runs=$2; shift 2 ;;
    --duration) duration=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    -*) sed -n '2,6p' "$0" >&2; exit 2 ;;
    *) components+=("$(realpath "$1")"); shift ;;
    esac
done
program=${JACKFIELD:-${CARGO_TARGET_DIR:-$root/target}/release/jackfield}
[ -x "$program" ] || { echo "policies.sh: no $program; build it (cargo build --release -p jackfield) or set JACKFIELD" >&2; exit 2; }
mkdir -p "$out"
work=$(mktemp -d)
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; pid=; }
}
trap 'stop; rm -rf "$work"' EXIT

# A policy by the name that the broker's configuration has for it. Each is compiled before it is measured: in the warm-up.
names=(native wasm)
policies=(native:round-robin round-robin)
for component in "${components[@]}"; do
    name=$(basename "$component" .wasm)
    names+=("$name")
    policies+=("$name")
done

for run in $(seq "$runs"); do
    for shape in "1 0" "8 0" "1 1000" "8 1000"; do
        read -r consumers groups <<<"$shape"
        for at in "${!names[@]}"; do
            rm -rf "$work/data" && : >"$work/out"
            {
                printf '[default_destination]\ndispatch_policy = "%s"\n' "${policies[$at]}"
                printf '[[connector]]\nname = "openwire"\nuri = "tcp://127.0.0.1:0"\n'
                # A component that needs more memory than usual says so itself; here it is its cost that matters.
                printf '[policy]\nmemory_limit = "256mb"\n[plugins]\ncomponent_limit = "32mb"\n'
                for component in "${components[@]}"; do
                    printf '[[policy.component]]\nname = "%s"\nfile = "%s"\n' "$(basename "$component" .wasm)" "$component"
                done
            } >"$work/jackfield.toml"
            "$program" serve --config "$work/jackfield.toml" --data "$work/data" >"$work/out" 2>"$out/broker.log" &
            pid=$!
            until grep -q '^ready' "$work/out"; do kill -0 "$pid" || { cat "$out/broker.log" >&2; exit 1; }; sleep 0.1; done
            scenario=$consumers-consumers-$([ "$groups" = 0 ] && echo no || echo "$groups")-groups
            echo "$scenario ${names[$at]} $run/$runs" >&2
            "$program" bench custom --persistent --producers 4 --consumers "$consumers" --groups "$groups" --transacted 100 \
                --window 4000 --ack batch --broker "tcp://$(sed -n 's/^listening openwire //p' "$work/out")" --pid "$pid" \
                --runs 1 --warmup 2s --duration "$duration" --json "$out/$scenario.${names[$at]}.$run.json" >"$out/last.txt" ||
                { cat "$out/last.txt" >&2; exit 1; }
            stop
        done
    done
done

python3 - "$out" "${names[@]}" <<'PYTHON'
import json, pathlib, statistics, sys

out, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
scenarios = sorted({file.name.split(".")[0] for file in out.glob("*-groups.*.json")})
print("| scenario | policy | messages/s | beside native | CPU s / 100,000 | beside native |\n|---|---|---|---|---|---|")
for scenario in scenarios:
    native = {}
    for name in names:
        runs = [json.loads(file.read_text()) for file in sorted(out.glob(f"{scenario}.{name}.*.json"))]
        runs = [run["runs"][0] for report in runs for run in report]
        cells = []
        for key, digits in (("consumed_per_s", 0), ("broker_cpu_s_per_100k", 3)):
            values = [run[key] for run in runs]
            low, middle, high = min(values), statistics.median(values), max(values)
            native.setdefault(key, middle)
            cells += [f"{low:,.{digits}f} / {middle:,.{digits}f} / {high:,.{digits}f}", f"{middle / native[key]:.2f}"]
        print(f"| {scenario} | {name} | " + " | ".join(cells) + " |")
PYTHON
echo "all figures: $out" >&2
