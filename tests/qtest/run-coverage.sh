#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-coverage.sh: lines and branches of our files that the tests reach
#
# Fails unless it is all of them, but for what coverage-unreached.txt lists
# with the reason.  A page for each file is left in the build folder.
#
# run-coverage.sh --corpus: what the fuzzers' corpora alone reach, of our files
# and of QEMU's virtio-gpu; a list, without a verdict on it.
export BLOB_VARIANT=gcov
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

corpus=0
case ${1:-} in
'') ;;
-h | --help)
    header "$0"
    exit 0
    ;;
--corpus) corpus=1 ;;
*) die "no such option: $1" "try --help" ;;
esac

mapfile -t tests < <(test_names)
mapfile -t units < <(cd "$TOP/tests/unit" && for f in test-*.c; do echo "${f%.c}"; done)
if [ "$corpus" = 1 ]; then
    tests=(virtio-gpu-gl-random-test)
    mapfile -t units < <(printf '%s\n' "${units[@]}" | grep -- -fuzz-)
fi
build_tests "${tests[@]/#/tests/qtest/}" "${units[@]/#/tests/unit/}"
make_scratch
emulator "$SCRATCH/ours"
find "$OURS" -name '*.gcda' -delete
for unit in "${units[@]}"; do
    in_root "$OURS/tests/unit/$unit" >/dev/null
done
list_cases "$SCRATCH/ours" "${tests[@]}" >"$SCRATCH/all"
grep "$([ "$corpus" = 0 ] || echo /corpus)" "$SCRATCH/all" >"$SCRATCH/cases"
say "$(wc -l <"$SCRATCH/cases") cases, $JOBS at once"
judge "$SCRATCH/ours" 300 "$SERIES_DIR/qtest-gcov"

say "reading what was reached"
# reached FILTER OPTION...: gcov finds the sources by ninja's relative paths
reached()
{
    local filter=$1
    shift
    in_root bash -c 'cd "$1" && shift && exec "$@"' coverage "$(inside "$OURS")" \
        gcovr --root ../src --object-directory . --filter "$filter" \
        --exclude-throw-branches --exclude-noncode-lines "$@" .
}

if [ "$corpus" = 1 ]; then
    reached '.*/hw/display/virtio-gpu' --csv=- | awk -F, '
        # unit tests compile the files anew, by their full names
        { sub("^/.*/hw/display/", "by unit tests: ", $1) }
        { sub("^hw/display/", "", $1) }
        NR > 1 && $2 { printf "%-45s %4d of %4d lines, %4d of %4d branches\n", $1, $3, $2, $6, $5 }'
    summary
    exit
fi
report=$SERIES_DIR/coverage
mkdir -p "$report"
reached '.*/hw/display/virtio-gpu-(blob|virgl-(resource|failure|fence))' \
    --json "$report/coverage.json" --html-details "$report/index.html" --txt-summary
status=0
"$QTEST/coverage.py" --report "$report/coverage.json" --source "$TOP/hw/display" \
    "$QTEST/coverage-unreached.txt" | tee "$SCRATCH/verdict" || status=$?
PASSED=$((PASSED + $(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$SCRATCH/verdict")))
FAILED=$((FAILED + $(sed -n 's/^.* passed, \([0-9]*\) failed$/\1/p' "$SCRATCH/verdict")))
[ "$status" = 0 ] || [ "$FAILED" != 0 ] || FAILED=1
say "page by page: $report/index.html"
summary
