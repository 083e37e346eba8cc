#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-stock-faults.sh: which known faults the QEMU without our change has
#
# The regression test of each fault, on ours and on stock.  Passed means: ours
# passes it.  That stock passes one, too, is no failure, but said: a release
# of QEMU may have it fixed.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"

build_tests tests/qtest/virtio-gpu-gl-stock-faults-test
make_scratch
emulator "$SCRATCH/ours"
emulator "$SCRATCH/stock" "$STOCK_MODULES"
list_cases "$SCRATCH/ours" virtio-gpu-gl-stock-faults-test >"$SCRATCH/cases"
say "$(wc -l <"$SCRATCH/cases") faults, ours"
run_cases "$SCRATCH/ours" 120 "$SCRATCH/log-ours" <"$SCRATCH/cases" >"$SCRATCH/ours.tsv"
say "the same, stock (up to 4 min: it becomes slow before it aborts)"
QUIET=1 run_cases "$SCRATCH/stock" 240 "$SERIES_DIR/stock-faults" <"$SCRATCH/cases" >"$SCRATCH/stock.tsv"

# How a case ended on stock: QEMU's last words, or what the test missed
how()
{
    local log said
    log=$SERIES_DIR/stock-faults/$(printf '%s' "$1" | tr / -).log
    for said in 's/.*qemu-system[^ ]*: [^ ]*: \(.*Assertion .* failed\).*/\1/' \
                's/.*kill_qemu() detected //' \
                's/^not ok .* - .*assertion failed //' \
                's/^not ok .* - [A-Z-]*: *//' \
                '/^not done after/s/^//'; do
        sed -n "${said}p" "$log" | grep . | head -n 1 | cut -c1-100 && return
    done
    echo "it said nothing of its end"
}

# result FILE PATH
result()
{
    awk -F'\t' -v path="$2" '$2 == path { print $1 }' "$1"
}

faults=0
printf '%-22s %-7s %s\n' fault ours stock
while IFS=$'\t' read -r _ path; do
    ours=$(result "$SCRATCH/ours.tsv" "$path")
    if [ "$ours" = ok ]; then
        PASSED=$((PASSED + 1))
    else
        FAILED=$((FAILED + 1))
    fi
    said='has it not'
    if [ "$(result "$SCRATCH/stock.tsv" "$path")" != ok ]; then
        faults=$((faults + 1))
        said="HAS IT: $(how "$path")"
    fi
    printf '%-22s %-7s %s\n' "${path##*/}" "${ours:-none}" "$said"
done < <(sort -t $'\t' -k 2 "$SCRATCH/cases")
say "stock has $faults of these faults"
summary
