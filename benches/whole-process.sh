#!/usr/bin/env bash
# Times whole commands, process start to process end, on made clusters. The figures of docs/performance.md.
#
#   benches/whole-process.sh                 everything; the cluster `huge` needs 1 GB of disk and 4 GB of memory
#   benches/whole-process.sh --no-huge       without it
#   RUNS=5 benches/whole-process.sh          medians of five runs instead of three
#
# Output of commands goes to files, as in a script; nothing is cached between runs but the files of the system.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${RUNS:-3}
huge=true
[ "${1:-}" = --no-huge ] && huge=false
bin=${CARGO_TARGET_DIR:-target}/release
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo build --quiet --locked --release --package simulator --package fixtures --package tests --bin portolan --bin make-cluster --bin measure

# Seconds and peak memory in MiB of one run; memory only where GNU time is installed.
once() {
    local status=0
    if [ -x /usr/bin/time ]; then
        /usr/bin/time -f '%e %M' -o "$work/time" "$@" >"$work/out" 2>"$work/err" || status=$?
        tail -n 1 "$work/time" | awk '{ printf "%s %.0f\n", $1, $2 / 1024 }' >"$work/figure"
    else
        local TIMEFORMAT=%R
        { time "$@" >"$work/out" 2>"$work/err" || status=$?; } 2>"$work/time"
        awk '{ print $1, "-" }' "$work/time" >"$work/figure"
    fi
    # 1 is an answer: "not allowed".
    if [ "$status" -gt 1 ]; then
        cat "$work/err" >&2
        return "$status"
    fi
}

row() { printf '%-44s %10s %10s %14s  %s\n' "$@"; }

# Runs a command several times and prints the median.
measure() {
    local name=$1 goal=$2
    shift 2
    : >"$work/figures"
    for _ in $(seq "$runs"); do
        once "$@"
        cat "$work/figure" >>"$work/figures"
    done
    median=$(sort -n "$work/figures" | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }')
    row "$name" "${median% *} s" "${median#* } MiB" "$(wc -c <"$work/out" | tr -d ' ') B out" "$goal"
    median=${median% *}
}

# Questions to the pods of a made cluster, from pods and every fourth from outside; some ports are open, some are not.
questions() {
    awk '/^kind: Pod$/ { pod = 1 } pod && /^  name:/ { name = $2 } pod && /^  namespace:/ { print $2 "/" name; pod = 0 }' \
        "$2" >"$work/names"
    awk -v count="$1" '
        { name[NR - 1] = $0 }
        END {
            for (i = 0; i < count; i++) {
                from = i % 4 == 3 ? "172." 16 + i % 16 ".0." i % 256 : name[(i * 7919) % NR]
                to = name[(i * 104729 + int(i / NR) + 13) % NR]
                printf "{\"id\":%d,\"from\":\"%s\",\"to\":\"%s\",\"port\":%d}\n", i, from, to, i % 3 ? 8080 : 9090 + i % 20
            }
        }' "$work/names"
}

for size in 30 100; do
    "$bin/make-cluster" --preset "peer-$size" --format yaml --out "$work/peer-$size.yaml"
done
small=$work/peer-30.yaml
large=$work/peer-100.yaml

asked=500000
questions "$asked" "$large" >"$work/questions"
from=$(sed -n 1p "$work/names")
to=$(sed -n '$p' "$work/names")

portolan=$bin/portolan
row command time memory output goal
measure "peer-100: list" "< 2 s" "$portolan" list -q -f "$large"
measure "peer-100: list -o json" "< 2 s" "$portolan" list -q -o json -f "$large"
measure "peer-100: can" "< 1 s" "$portolan" can "$from" "$to:8080" -q -f "$large"
measure "peer-30: list --pairs" "<= 0.62 s" "$portolan" list --pairs -q -f "$small"
measure "peer-100: batch, no question" "" "$portolan" batch /dev/null -q -f "$large"
loading=$median
measure "peer-100: batch, $asked questions" "" "$portolan" batch "$work/questions" -q -f "$large"
rate=$(awk -v n="$asked" -v all="$median" -v load="$loading" 'BEGIN { printf "%.0f", n / (all - load) }')
row "  questions a second, loading left out" "$rate" "" "" ">= 100000"
answers=$(wc -l <"$work/out")
if [ "$answers" -ne "$asked" ] || grep -q '"error"' "$work/out"; then
    echo "batch did not answer every question" >&2
    exit 1
fi

if "$huge"; then
    "$bin/make-cluster" --preset huge --format json --out "$work/huge.json"
    for _ in $(seq "$runs"); do
        echo
        cargo run --quiet --locked --release --package tests --bin measure -- "$work/huge.json"
    done
fi
