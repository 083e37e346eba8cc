#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-qtests.sh [--slow] [NAME...]: the device, driven by a scripted renderer
#
#   --slow   what takes minutes, too
#   NAME     only cases with this in their path
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"
names=() slow=()
for arg in "$@"; do
    case $arg in
    --slow) slow=(slow) ;;
    -*) die "no such option: $arg" "try --help" ;;
    *) names+=("$arg") ;;
    esac
done

mapfile -t tests < <(test_names)
build_tests "${tests[@]/#/tests/qtest/}"
make_scratch
emulator "$SCRATCH/ours"
limit=120
case $VARIANT in asan | tsan) limit=400 ;; esac
if [ ${#slow[@]} -gt 0 ]; then
    export QTEST_SLOW=1
    limit=1200
fi

list_cases "$SCRATCH/ours" "${tests[@]}" >"$SCRATCH/cases"
if [ ${#names[@]} -gt 0 ]; then
    printf '%s\n' "${names[@]}" >"$SCRATCH/names"
    awk -F '\t' 'NR == FNR { name[$0]; next }
        { for (n in name) if (index($2, n)) { print; next } }' "$SCRATCH/names" "$SCRATCH/cases" >"$SCRATCH/some"
    [ -s "$SCRATCH/some" ] ||
        die "no case has that in its path: ${names[*]}"
    mv "$SCRATCH/some" "$SCRATCH/cases"
fi
say "$(wc -l <"$SCRATCH/cases") cases, $JOBS at once"
judge "$SCRATCH/ours" "$limit" "$SERIES_DIR/qtest${VARIANT:+-$VARIANT}"
summary
