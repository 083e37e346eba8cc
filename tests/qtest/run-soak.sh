#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-soak.sh [--commands N] [--seed S]: random commands against a model
#
# A million commands unless told otherwise, from a seed that is printed; on a
# mismatch a shortened sequence is, too.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"
commands=1000000 seed=$(($(date +%s) % 1000000))
while [ $# -gt 0 ]; do
    case $1 in
    --commands) commands=${2:?} ;;
    --seed) seed=${2:?} ;;
    *) die "no such option: $1" "try --help" ;;
    esac
    shift 2
done

build_tests tests/qtest/virtio-gpu-gl-random-test
make_scratch
emulator "$SCRATCH/ours"
# In parts: each is checked to leave nothing behind, and is easy to shorten
part=50000
say "$commands commands, seed $seed"
while [ "$commands" -gt 0 ]; do
    n=$((commands < part ? commands : part))
    start=$SECONDS
    if SOAK_COMMANDS=$n SOAK_SEED=$seed with_qemu "$SCRATCH/ours" \
        "$(inside "$OURS")/tests/qtest/virtio-gpu-gl-random-test" --tap -p /x86_64/virtio-gpu-gl/random/soak >"$SCRATCH/log" 2>&1; then
        PASSED=$((PASSED + 1))
        printf 'ok      %s commands, seed %s (%s s)\n' "$n" "$seed" $((SECONDS - start))
    else
        FAILED=$((FAILED + 1))
        grep -v '^# \(Start\|End\|starting\|random\)' "$SCRATCH/log" | tail -n 80
        printf 'not ok  %s commands, seed %s\n' "$n" "$seed"
    fi
    commands=$((commands - n))
    seed=$((seed + 1))
done
summary
