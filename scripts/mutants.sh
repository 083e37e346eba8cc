#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# mutants.sh: change the decision, one operator or constant at a time; the
# unit test must notice each change.
#
# mutants.sh --all [OPTION...]: change any of the device's files, and see
# whether unit tests or qtests notice; a sample, as long as --seconds says.
# What --all noticed is not tried again, until make clean.
#   --seconds=N   default 900
#   --seed=N      another order
#   --file=NAME   only files with this in their name; may be repeated
#   --change=TEXT only what --list shows with this in it; may be repeated
#   --each=N      a change has survived the qtests after N seconds of them
#   --again       try again what survived before
#   --jobs=N      so many at once
#   --list        only say what would be changed
. "$(dirname "${BASH_SOURCE[0]}")/../tests/qtest/common.sh"

help_if_asked "$@"

UNIT=$TOP/tests/unit

# mutants MEMORY [OPTION...] FILE...
mutants()
{
    local memory=$1
    shift
    make_scratch
    with_qemu "$SCRATCH/ours" env PYTHONDONTWRITEBYTECODE=1 python3 "$TOP/scripts/mutants.py" \
        --jobs "$JOBS" --build "$(inside "$OURS")" --scratch "$SCRATCH" \
        --memory "$memory" --explained "$TOP/scripts/mutants-explained.txt" \
        --emulator "$(inside "$OURS")/qemu-system-x86_64 -L /usr/share/qemu -L /usr/share/seabios" \
        "$@"
}

case ${1:-} in
'')
    run "$TOP/scripts/build.sh" tests/unit/test-virtio-gpu-blob-decision
    say "changing the decision"
    # all of them, each time
    mutants /dev/null --units --seconds 3600 "$TOP/hw/display/virtio-gpu-blob-decision.c"
    ;;
--all)
    shift
    mapfile -t tests < <(test_names)
    tests=("${tests[@]/#/tests/qtest/}")
    for file in "$UNIT"/test-*.c; do
        tests+=("tests/unit/$(basename "$file" .c)")
    done
    build_tests "${tests[@]}"
    say "changing all files of the device"
    mutants "$SERIES_DIR/mutants.jsonl" "$@" \
        "$TOP"/hw/display/virtio-gpu-{blob*,virgl-{resource,failure,fence}}.c
    ;;
*) die "no such option: $1" "try --help" ;;
esac
