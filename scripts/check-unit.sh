#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-unit.sh: run the unit tests that build.sh built, count their TAP lines
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

passed=0 failed=0
for test in "$TOP"/tests/unit/test-*.c; do
    name=$(basename "$test" .c)
    if [ ! -x "$OURS/tests/unit/$name" ]; then
        say "$name was not built"
        failed=$((failed + 1))
        continue
    fi
    log=$SERIES_DIR/$name.tap
    status=0
    in_root "$OURS/tests/unit/$name" --tap >"$log" 2>&1 || status=$?
    cat "$log"
    good=$(grep -c '^ *ok ' "$log") || :
    bad=$(grep -c '^ *not ok ' "$log") || :
    if [ "$status" != 0 ] && [ "$bad" = 0 ] || [ "$good" = 0 ]; then
        say "$name ended with status $status"
        bad=$((bad + 1))
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
