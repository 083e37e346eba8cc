#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# check-unit.sh [NAME...]: run the unit tests that build.sh built, count their
#                          TAP lines; then build them once more with clang, and
#                          run those.  The sanitizers' builds are gcc's alone.
#
#   NAME   only programs with this in their name
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"

case ${1:-} in
-h | --help)
    header "${BASH_SOURCE[0]}"
    exit 0
    ;;
-*) die "no such option: $1" "try --help" ;;
esac

passed=0 failed=0 skipped=0 tests=()

# run_test NAME PROGRAM LOG
run_test()
{
    local name=$1 log=$3 status=0 good bad
    if [ ! -x "$2" ]; then
        say "$name was not built"
        failed=$((failed + 1))
        return
    fi
    in_root "$2" --tap >"$log" 2>&1 || status=$?
    cat "$log"
    good=$(grep -c '^ *ok ' "$log") || :
    bad=$(grep -c '^ *not ok ' "$log") || :
    if [ "$status" != 0 ] && [ "$bad" = 0 ] || [ "$good" = 0 ]; then
        say "$name ended with status $status"
        bad=$((bad + 1))
    fi
    passed=$((passed + good))
    failed=$((failed + bad))
}

# is_wanted NAME WANTED...
is_wanted()
{
    local name=$1 wanted
    shift
    for wanted; do
        [[ $name != *"$wanted"* ]] || return 0
    done
    [ $# = 0 ]
}

for test in "$TOP"/tests/unit/test-*.c; do
    name=$(basename "$test" .c)
    is_wanted "$name" "$@" || continue
    tests+=("$name")
    run_test "$name" "$OURS/tests/unit/$name" "$SERIES_DIR/$name.tap"
done
[ ${#tests[@]} -gt 0 ] || die "no unit test has that in its name: $*"
if [ -z "$VARIANT" ]; then
    say "the same, built with clang"
    if ! run "$TOP/scripts/root.sh" need clang; then
        say "skipped: there is no clang (see above)"
        skipped=${#tests[@]}
    elif in_root bash "$TOP/scripts/clang-unit.sh" "$(inside "$OURS")" "$JOBS" "${tests[@]}"; then
        for name in "${tests[@]}"; do
            run_test "$name (clang)" "$OURS/clang/$name" "$SERIES_DIR/$name.clang.tap"
        done
    else
        say "clang could not build them (see above)"
        failed=$((failed + ${#tests[@]}))
    fi
fi
echo "$passed passed, $failed failed$([ "$skipped" = 0 ] || echo ", $skipped skipped")"
[ "$failed" = 0 ]
