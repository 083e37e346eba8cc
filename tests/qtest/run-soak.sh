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
# soak [NAME=VALUE]...: one run of the test, with its messages in a log
soak()
{
    with_qemu "$SCRATCH/ours" env "$@" "$(inside "$OURS")/tests/qtest/virtio-gpu-gl-random-test" \
        --tap -p /x86_64/virtio-gpu-gl/random/soak >"$SCRATCH/log" 2>&1
}

# shorten INPUT: leave out what can be left out, in ever smaller pieces
shorten()
{
    local input=$1 piece at less
    for ((piece = ${#input} / 4 * 2; piece >= 2; piece = piece / 4 * 2)); do
        for ((at = 0; at < ${#input}; )); do
            less=${input:0:at}${input:at+piece}
            if [ -n "$less" ] && ! soak SOAK_INPUT="$less"; then
                input=$less
            else
                at=$((at + piece))
            fi
        done
    done
    soak SOAK_INPUT="$input" || grep -v '^# \(Start\|End\|starting\|random\)' "$SCRATCH/log" | tail -n 20
    echo "SOAK_INPUT=$input"
}

# In parts: each is checked to leave nothing behind
part=50000
say "$commands commands, seed $seed"
while [ "$commands" -gt 0 ]; do
    n=$((commands < part ? commands : part))
    start=$SECONDS
    if soak SOAK_COMMANDS="$n" SOAK_SEED="$seed"; then
        PASSED=$((PASSED + 1))
        printf 'ok      %s commands, seed %s (%s s)\n' "$n" "$seed" $((SECONDS - start))
    else
        FAILED=$((FAILED + 1))
        shorten "$(sed -n 's/^# input //p' "$SCRATCH/log" | tail -n 1)"
        printf 'not ok  %s commands, seed %s\n' "$n" "$seed"
    fi
    commands=$((commands - n))
    seed=$((seed + 1))
done
summary
