# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts beside share; to be sourced.  They run the test programs
# with a QEMU of one kind or another and count what comes out.

. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/env.sh"

QTEST=$TOP/tests/qtest
# Where the modules under test and the test programs were built, if not with
# the emulator
DEVICE=${BLOB_DEVICE:-$OURS}
PASSED=0 FAILED=0 SKIPPED=0

# Our test programs, as ninja and meson name them
test_names()
{
    local file
    for file in "$QTEST"/virtio-gpu-gl-*-test.c; do
        basename "$file" .c
    done
}

# build_tests TARGET...: QEMU, the renderer and these
build_tests()
{
    run "$TOP/scripts/build.sh" accel-qtest-x86_64.so \
        tests/qtest/renderer/libscripted-renderer.so \
        tests/qtest/renderer/libscripted-watcher.so "$@" >&2
}

# A scratch folder whose name has no space in it: libqtest does not quote
make_scratch()
{
    SCRATCH=$(mktemp -d /tmp/virtio-gpu-gl.XXXXXX)
    trap 'rm -rf -- "$SCRATCH"' EXIT
    mkdir -m 700 "$SCRATCH/xdg" "$SCRATCH/tmp"
}

# emulator DIR [MODULES]: a QEMU for libqtest in DIR, with these modules first
emulator()
{
    local dir=$1 modules=${2:-$DEVICE}
    mkdir -p "$dir"
    {
        echo '#!/bin/sh'
        printf 'export QEMU_MODULE_DIR=%q\n' "$modules"
        printf 'exec %q -L /usr/share/qemu -L /usr/share/seabios "$@"\n' "$OURS/qemu-system-x86_64"
    } >"$dir/qemu-system-x86_64"
    chmod +x "$dir/qemu-system-x86_64"
}

# with_qemu DIR COMMAND...: in the root, with what the test programs look for
with_qemu()
{
    local dir=$1
    shift
    QTEST_QEMU_BINARY=$dir/qemu-system-x86_64 \
        XDG_RUNTIME_DIR=$SCRATCH/xdg TMPDIR=$SCRATCH/tmp MALLOC_PERTURB_='' \
        ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0:abort_on_error=1${ASAN_OPTIONS:+:$ASAN_OPTIONS} \
        UBSAN_OPTIONS=halt_on_error=1:abort_on_error=1:print_stacktrace=1:suppressions=$QTEST/ubsan-suppressions.txt \
        TSAN_OPTIONS=exitcode=0:die_after_fork=0:suppressions=$QEMU_SRC/tests/tsan/suppressions.tsan${TSAN_OPTIONS:+:$TSAN_OPTIONS} \
        in_root "$@"
}

# list_cases DIR NAME...: "PROGRAM<tab>PATH" for each case
list_cases()
{
    local dir=$1 name program
    shift
    for name in "$@"; do
        # LD_PRELOAD, too, knows no spaces
        program=$(inside "$DEVICE")/tests/qtest/$name
        with_qemu "$dir" "$program" -l |
            awk -v program="$program" -v OFS='\t' \
                '{ sub(/^# /, "") } /^\// { print program, $0 }'
    done
}

# run_cases DIR SECONDS LOGS: cases from stdin, several at once; results as
# "ok|not ok|skip<tab>PATH<tab>SECONDS"
run_cases()
{
    local dir=$1 limit=$2 logs=$3
    mkdir -p "$logs"
    tr '\t\n' '\0\0' >"$SCRATCH/cases.0"
    # no pipe: what runs must be our child, to end with us
    with_qemu "$dir" xargs -0 -r -n 2 -P "$JOBS" setpriv --pdeathsig TERM -- \
        bash "$QTEST/run-case.sh" "$limit" "$logs" <"$SCRATCH/cases.0"
}

# judge DIR SECONDS LOGS: runs the cases of SCRATCH/cases, prints each as it
# comes, and adds up; one without a result is a failure
judge()
{
    local result path time all seen=0 status=0
    all=$(wc -l <"$SCRATCH/cases")
    run_cases "$@" <"$SCRATCH/cases" > >(tee "$SCRATCH/results" | show) || status=$?
    wait "$!" || :
    while IFS=$'\t' read -r result path time; do
        seen=$((seen + 1))
        case $result in
        ok) PASSED=$((PASSED + 1)) ;;
        skip) SKIPPED=$((SKIPPED + 1)) ;;
        *) FAILED=$((FAILED + 1)) ;;
        esac
    done <"$SCRATCH/results"
    if [ "$seen" != "$all" ] || [ "$all" = 0 ] || [ "$status" != 0 ]; then
        echo "not ok  $seen of $all cases gave a result (status $status)"
        FAILED=$((FAILED + 1))
    fi
}

show()
{
    local result path time
    while IFS=$'\t' read -r result path time; do
        printf '%-7s %s (%s)\n' "$result" "$path" "$time"
    done
}

summary()
{
    local line="$PASSED passed, $FAILED failed"
    [ "$SKIPPED" = 0 ] || line+=", $SKIPPED skipped"
    printf '%s\n' "$line"
    [ "$FAILED" = 0 ] && [ "$PASSED" != 0 ]
}
