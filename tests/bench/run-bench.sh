#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-bench.sh [--quick]: what mapping and unmapping a blob costs
#
# Ours and stock in one run, 64 commands a kick, medians of at least 9
# repetitions, with 0 to 30,000 other blobs mapped; beside them the floor: one
# mmap() each way in a program that does nothing else, what the kernel takes of
# it to join the holes, and each system call of the checks.  Ours and the floor
# run in rounds, stock in between: a busy minute hits a few rounds at most.
# Where processors are short, the clock counts the time of others, too: what
# QEMU used of their time is beside it, with all that a kick costs.
# Stock takes 0.1 s for each unmap; all of this takes about 13 minutes.
# Then the newest QEMU that the distribution serves, which has no qtest: a guest
# kicks, and what its main loop used of the processor's time counts, beside what
# ours does then.  Last the same as a Linux guest sees it, from a blob's creation
# to its end (once 3 minutes and 1 GiB of the user's cache: scripts/peer.sh).
#
#   --quick   without stock and the newest QEMU
. "$(dirname "${BASH_SOURCE[0]}")/../qtest/common.sh"

help_if_asked "$@"
quick=
case ${1:-} in
--quick) quick=1 ;;
'') ;;
*) die "no such option: $1" "try --help" ;;
esac
[ -z "$VARIANT" ] || die "a build for $VARIANT cannot be measured"

build_tests tests/qtest/virtio-gpu-gl-bench
make_scratch
emulator "$SCRATCH/ours"
emulator "$SCRATCH/stock" "$STOCK_MODULES"
results=$SERIES_DIR/bench.tsv
rounds=9
declare -A stock_after=([2]=0 [4]=256 [6]=1024)
[ -z "$quick" ] || stock_after=()
: >"$SCRATCH/results"

# bench DIR NAME LIVE REPETITIONS CASE...
bench()
{
    local dir=$1 name=$2 live=$3
    shift
    with_qemu "$SCRATCH/$dir" "$(inside "$OURS")/tests/qtest/virtio-gpu-gl-bench" "$@" 2>"$SCRATCH/stderr" |
        grep "^$name" >>"$SCRATCH/results" || {
        tail -n 5 "$SCRATCH/stderr" >&2
        FAILED=$((FAILED + 1))
        say "$name, $live blobs live: failed"
    }
}

# guest NAME [OPTION]: a blob's life in the demo's guest
guest()
{
    local name=$1
    shift
    say "the demo's guest, $name"
    run "$TOP/tests/guest/run-demo.sh" --bench "$@" >"$SCRATCH/guest" 2>&1 || {
        grep 'QEMU says' "$SCRATCH/guest" >&2 || tail -n 5 "$SCRATCH/guest" >&2
        return 1
    }
    sed -n 's/^live=\([0-9]*\) ns=\([0-9]*\)\([0-9]\{3\}\)$/\1 \2.\3/p' "$SCRATCH/guest" |
        awk -v OFS='\t' -v name="$name" '{ print name, $1, "guest", "life", $2 }' \
            >>"$SCRATCH/results"
}

# With so many regions stock aborts now and then (iotlb_to_section).
guest_on_stock()
{
    local try
    for try in 1 2 3; do
        ! guest stock --stock || return 0
    done
    say "stock ended before it could be measured, $try times"
    FAILED=$((FAILED + 1))
}

# The newest QEMU, in its own root, as a QEMU for the test programs
peer_emulator()
{
    mkdir -p "$SCRATCH/peer"
    # no $( ): what runs must be our child, to end with us
    run "$TOP/scripts/peer.sh" "$SCRATCH/peer/qemu-system-x86_64"
}

compare_with_peer()
{
    local round live
    export BENCH_BY_GUEST=1
    for round in 1 2 3 4 5; do
        say "the newest QEMU and ours, round $round of 5"
        bench ours ours-guest 0 100 answers shm answers-next shm-next
        bench peer peer 0 100 answers shm answers-next shm-next
        bench ours ours-guest 30000 100 answers shm answers-next shm-next oldest
        bench peer peer 30000 100 answers shm answers-next shm-next oldest
    done
    unset BENCH_BY_GUEST
}

for ((round = 1; round <= rounds; round++)); do
    say "the floor and ours, round $round of $rounds"
    for live in 0 256 1024 30000; do
        bench ours floor "$live" 25
        bench ours ours "$live" 25 answers no-query name name-again shm answers-next shm-next
    done
    live=${stock_after[$round]:-}
    if [ -n "$live" ]; then
        say "stock, $live blobs live"
        bench stock stock "$live" 9 answers
    fi
done
[ -n "$quick" ] || guest_on_stock
peer=
if [ -z "$quick" ]; then
    if peer_emulator; then
        peer=$(with_qemu "$SCRATCH/peer" "$SCRATCH/peer/qemu-system-x86_64" --version | sed -n '1s/.*version \([0-9.]*\).*/\1/p')
        compare_with_peer
    else
        echo "skipped - the newest QEMU: its root could not be made (see above)"
        SKIPPED=$((SKIPPED + 1))
    fi
fi

for round in 1 2 3 4 5; do
    guest ours || FAILED=$((FAILED + 1))
    [ -z "$peer" ] || guest peer --peer || FAILED=$((FAILED + 1))
done

# One line for each that was measured: the median of its rounds
awk -F'\t' -v OFS='\t' '
    { key = $1 OFS $2 OFS $3 OFS $4 }
    !(key in n) { order[++keys] = key }
    { value[key, ++n[key]] = $5 }
    END {
        for (k = 1; k <= keys; k++) {
            key = order[k]
            for (i = 2; i <= n[key]; i++)
                for (j = i; j > 1 && value[key, j] + 0 < value[key, j - 1] + 0; j--) {
                    swap = value[key, j]
                    value[key, j] = value[key, j - 1]
                    value[key, j - 1] = swap
                }
            print key, value[key, int((n[key] + 1) / 2)]
        }
    }' "$SCRATCH/results" >"$results"

# median NAME LIVE CASE WHAT
median()
{
    awk -F'\t' -v OFMT=%.3f -v name="$1" -v live="$2" -v which="$3" -v what="$4" \
        '$1 == name && $2 == live && $3 == which && $4 == what { print $5 }' "$results"
}

table()
{
    printf '%-8s %7s  %-9s %12s %12s %14s\n' build live exporter 'map us' 'unmap us' 'used by both'
    awk -F'\t' '
        { us[$1, $2, $3, $4] = $5 }
        $4 == "unmap used" {
            printf "%-8s %7d  %-9s %12.1f %12.1f %14.1f\n", $1, $2, $3,
                us[$1, $2, $3, "map"], us[$1, $2, $3, "unmap"], us[$1, $2, $3, "map used"] + $5
        }
        $4 == "map+unmap used" {
            printf "%-8s %7d  %-11s %23.1f %14.1f\n", $1, $2, $3, us[$1, $2, $3, "map+unmap"], $5
        }
        $4 == "life" { printf "%-8s %7d  %-9s %25.1f\n", $1, $2, "(guest)", $5 }
        $4 == "empty" { printf "%-8s %7d  %-9s %25.1f\n", $1, $2, "(empty)", $5 }
        $4 == "call" { printf "%-8s %7s  %-9s %25.2f\n", "a call", "", $3, $5 }
        $4 == "memory" { printf "%-8s %7d  %-9s %19.0f bytes a blob\n", $1, $2, "(memory)", $5 }
    ' "$results"
}

json()
{
    local version
    version=$(with_qemu "$SCRATCH/ours" "$SCRATCH/ours/qemu-system-x86_64" --version | head -n 1)
    printf '{\n  "qemu": "%s",\n  "cpus": %s,\n  "load": "%s",\n  "batch": 64,\n  "results": [\n' \
        "$version" "$(nproc)" "$(cut -d' ' -f1 /proc/loadavg)"
    awk -F'\t' '
        { printf "%s    { \"build\": \"%s\", \"live\": %d, \"case\": \"%s\", \"what\": \"%s\", \"%s\": %s }",
            NR == 1 ? "" : ",\n", $1, $2, $3, $4, $4 == "memory" ? "bytes" : "us", $5 }
        END { print "" }' "$results"
    printf '  ]\n}\n'
}

# limit TEXT VALUE OPERATOR BOUND
limit()
{
    local word=ok
    if awk -v a="$2" -v b="$4" -v op="$3" \
        'BEGIN { exit !(a != "" && (op == "<=" ? a + 0 <= b + 0 : a + 0 >= b + 0)) }'; then
        PASSED=$((PASSED + 1))
    else
        FAILED=$((FAILED + 1))
        word='not ok'
    fi
    printf '%-7s %s: %s (%s %s)\n' "$word" "$1" "$2" "$3" "$4"
}

sum()
{
    awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a + b }'
}

ratio()
{
    awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.2f", a / b }'
}

both()
{
    sum "$(median "$1" "$2" "$3" map)" "$(median "$1" "$2" "$3" unmap)"
}

# used NAME LIVE CASE
used()
{
    sum "$(median "$1" "$2" "$3" 'map used')" "$(median "$1" "$2" "$3" 'unmap used')"
}

table
json >"$SERIES_DIR/bench.json"
say "for programs: $SERIES_DIR/bench.json"

ours0=$(both ours 0 answers)
shm0=$(both ours 0 shm)
empty0=$(median ours 0 - empty)

# floor WAY: one mmap() each way, and the two empty commands that take the
# answers to the guest
floor()
{
    sum "$(median floor 0 "$1" map+unmap)" "$(sum "$empty0" "$empty0")"
}

# joining LIVE apart|next: what the kernel takes to split holes and join them
joining()
{
    sum "$(median floor "$1" "$2" map+unmap)" "-$(median floor "$1" "$2-split" map+unmap)"
}

# calls CASE: the checks' own system calls, us
calls()
{
    local name total=0
    local -A of=([answers]='export seek access query' [shm]='export seals length access')
    for name in ${of[${1%-next}]}; do
        total=$(sum "$total" "$(median floor 0 "$name" call)")
    done
    printf '%s\n' "$total"
}

# beyond CASE US BASE: what is left of US without BASE and the checks' calls
beyond()
{
    sum "$2" "$(sum "-$3" "-$(calls "$1")")"
}

printf 'Map and unmap, us: %s for a dma-buf, %s for shared memory; the floor: %s;\n' \
    "$ours0" "$shm0" "$(floor apart)"
printf 'the system calls of the checks: %s and %s.\n' "$(calls answers)" "$(calls shm)"
printf 'Of the floor, for the holes that are joined: %s; for neighbours: %s.\n' \
    "$(joining 0 apart)" "$(joining 0 next)"
if [ -z "$quick" ]; then
    printf 'For a guest under TCG, a blob created, mapped, touched and unmapped costs\n'
    for live in 0 1000; do
        printf '%s us with %d live, %s us on stock, %s us on the newest QEMU.\n' \
            "$(median ours $live guest life)" $live "$(median stock $live guest life)" \
            "$(median peer $live guest life)"
    done
fi
limit 'map and unmap, us, shared memory' "$shm0" '<=' 10
limit 'map and unmap, the exporter answers, times the floor' "$(ratio "$ours0" "$(floor apart)")" '<=' 1.2
limit 'neighbours, shared memory, times the floor' \
    "$(ratio "$(both ours 0 shm-next)" "$(floor next)")" '<=' 1.2
limit 'the exporter answers, 30,000 live, times as much as with none' \
    "$(ratio "$(both ours 30000 answers)" "$ours0")" '<=' 1.15
limit 'map and unmap, us, the exporter has a name only' "$(both ours 0 name-again)" '<=' 25
limit 'what reading that name adds, us, for the first map of a buffer' \
    "$(sum "$(median ours 0 name map)" "-$(median ours 0 no-query map)")" '<=' 10
limit 'what knowing it adds, us, for the next' \
    "$(sum "$(median ours 0 name-again map)" "-$(median ours 0 no-query map)")" '<=' 3
limit 'what the query adds, us' \
    "$(sum "$(median ours 0 answers map)" "-$(median ours 0 no-query map)")" '<=' 3
limit 'bytes of memory a live blob' "$(median ours 30000 - memory)" '<=' 512
if [ -z "$quick" ]; then
    limit 'map and unmap with 1024 live, times faster than stock' \
        "$(ratio "$(both stock 1024 answers)" "$(both ours 1024 answers)")" '>=' 500
    limit 'map alone, the same' \
        "$(ratio "$(median stock 1024 answers map)" "$(median ours 1024 answers map)")" '>=' 500
fi
if [ -n "$peer" ]; then
    printf 'The main loop of ours, and of QEMU %s, when a guest kicks, us a map and unmap:\n' "$peer"
    for live in 0 30000; do
        for which in answers shm answers-next shm-next; do
            printf '%6d live, %-13s %6s, %6s: %s times\n' "$live" "$which:" \
                "$(used ours-guest "$live" "$which")" "$(used peer "$live" "$which")" \
                "$(ratio "$(used ours-guest "$live" "$which")" "$(used peer "$live" "$which")")"
        done
    done
    printf '%6d live, %-13s %6s, %6s\n' 30000 oldest: \
        "$(used ours-guest 30000 oldest)" "$(used peer 30000 oldest)"
    for live in 0 30000; do
        for which in answers-next shm-next; do
            limit "$which, $live live, times QEMU $peer" \
                "$(ratio "$(used ours-guest "$live" "$which")" "$(used peer "$live" "$which")")" '<=' 1.1
        done
    done
    # The newest QEMU does not join holes: it keeps a mapping for each place that was
    # ever used
    for live in 0 30000; do
        printf '%6d live, us to join the holes, which QEMU %s does not: %s; for neighbours: %s\n' \
            "$live" "$peer" "$(joining "$live" apart)" "$(joining "$live" next)"
    done
    for live in 0 30000; do
        for which in answers shm answers-next shm-next; do
            limit "$which, $live live, us beyond QEMU $peer and the checks" \
                "$(beyond "$which" "$(used ours-guest "$live" "$which")" "$(used peer "$live" "$which")")" '<=' 1.5
        done
    done
    limit 'the oldest of 30,000 first, of what the newest QEMU takes' \
        "$(ratio "$(used ours-guest 30000 oldest)" "$(used peer 30000 oldest)")" '<=' 0.01
    for live in 0 1000; do
        limit "a blob's life in a guest, $live live, times the newest QEMU" \
            "$(ratio "$(median ours $live guest life)" "$(median peer $live guest life)")" '<=' 1.05
    done
fi
summary
