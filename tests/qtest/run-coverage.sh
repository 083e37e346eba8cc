#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-coverage.sh: lines and branches of our files that the qtests reach
#
# Fails below 100 % of either; what cannot be reached is marked in the source
# with the reason.  A page for each file is left in the build folder.
export BLOB_VARIANT=gcov
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case ${1:-} in
-h | --help)
    header "$0"
    exit 0
    ;;
esac

mapfile -t tests < <(test_names)
build_tests "${tests[@]/#/tests/qtest/}"
make_scratch
emulator "$SCRATCH/ours"
find "$OURS" -name '*.gcda' -delete
list_cases "$SCRATCH/ours" "${tests[@]}" >"$SCRATCH/cases"
say "$(wc -l <"$SCRATCH/cases") cases, $JOBS at once"
judge "$SCRATCH/ours" 300 "$SERIES_DIR/qtest-gcov"

say "reading what was reached"
report=$SERIES_DIR/coverage
mkdir -p "$report"
# gcov finds the sources by ninja's relative paths
in_root bash -c 'cd "$1" && shift && exec "$@"' coverage "$OURS" \
    gcovr --root ../src --object-directory . \
    --filter '../src/hw/display/virtio-gpu-blob' --filter '.*/hw/display/virtio-gpu-blob' \
    --filter '.*/hw/display/virtio-gpu-virgl-resource' \
    --exclude-throw-branches --exclude-noncode-lines \
    --txt "$report/lines.txt" --json-summary "$report/summary.json" \
    --html-details "$report/index.html" .
in_root bash -c 'cd "$1" && shift && exec "$@"' coverage "$OURS" \
    gcovr --root ../src --object-directory . --txt-metric branch \
    --filter '.*/hw/display/virtio-gpu-blob' --filter '.*/hw/display/virtio-gpu-virgl-resource' \
    --exclude-throw-branches --exclude-noncode-lines --txt "$report/branches.txt" .
sed -n '/^File/,$p' "$report/lines.txt"
sed -n '/^File/,$p' "$report/branches.txt"

# check WHAT: 100 % of it?
check()
{
    local percent
    percent=$(sed -n "s/.*\"$1_percent\": \([0-9.]*\).*/\1/p" "$report/summary.json" | tail -n 1)
    case $percent in
    100 | 100.0) PASSED=$((PASSED + 1)) ;;
    *) FAILED=$((FAILED + 1)) ;;
    esac
    printf '%s covered: %s %%\n' "$1" "$percent"
}
check line
check branch
say "page by page: $report/index.html"
summary
