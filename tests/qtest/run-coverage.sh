#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-coverage.sh: lines and branches of our files that the tests reach
#
# Fails unless it is all of them, but for what coverage-unreached.txt lists
# with the reason.  A page for each file is left in the build folder.
export BLOB_VARIANT=gcov
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"
[ $# = 0 ] || die "no such option: $1" "try --help"

mapfile -t tests < <(test_names)
mapfile -t units < <(cd "$TOP/tests/unit" && for f in test-*.c; do echo "${f%.c}"; done)
build_tests "${tests[@]/#/tests/qtest/}" "${units[@]/#/tests/unit/}"
make_scratch
emulator "$SCRATCH/ours"
find "$OURS" -name '*.gcda' -delete
for unit in "${units[@]}"; do
    in_root "$OURS/tests/unit/$unit" >/dev/null
done
list_cases "$SCRATCH/ours" "${tests[@]}" >"$SCRATCH/cases"
say "$(wc -l <"$SCRATCH/cases") cases, $JOBS at once"
judge "$SCRATCH/ours" 300 "$SERIES_DIR/qtest-gcov"

say "reading what was reached"
report=$SERIES_DIR/coverage
mkdir -p "$report"
# gcov finds the sources by ninja's relative paths
in_root bash -c 'cd "$1" && shift && exec "$@"' coverage "$(inside "$OURS")" \
    gcovr --root ../src --object-directory . --exclude-throw-branches --exclude-noncode-lines \
    --filter '.*/hw/display/virtio-gpu-(blob|virgl-(resource|failure|fence))' \
    --json "$report/coverage.json" --html-details "$report/index.html" --txt-summary .
status=0
"$QTEST/coverage.py" "$report/coverage.json" "$TOP/hw/display" "$QTEST/coverage-unreached.txt" | tee "$SCRATCH/verdict" || status=$?
PASSED=$((PASSED + $(sed -n 's/^\([0-9]*\) passed, .*/\1/p' "$SCRATCH/verdict")))
FAILED=$((FAILED + $(sed -n 's/^.* passed, \([0-9]*\) failed$/\1/p' "$SCRATCH/verdict")))
[ "$status" = 0 ] || [ "$FAILED" != 0 ] || FAILED=1
say "page by page: $report/index.html"
summary
