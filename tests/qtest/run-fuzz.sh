#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-fuzz.sh [OPTION]...: random inputs, led by what code they reach
#
#   --target=NAME    device or vma; more than once for both
#   --seconds=N      for all of them together; default: 60
#   --jobs=N         processes at once; default: one a processor
#   --replay=FILE    only this input, of the one target that is named
#   --save           minimise what is worth keeping into the tree's corpus
#
# clang's libFuzzer, with address and undefined behaviour sanitizers.  What
# make check replays of them, without clang, is the corpus.
export BLOB_VARIANT=fuzz
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

help_if_asked "$@"
targets=() seconds=60 jobs=$JOBS replay='' save=0
for arg in "$@"; do
    case $arg in
    --target=device | --target=vma) targets+=("${arg#*=}") ;;
    --target=*) die "no such target: ${arg#*=}" "one of device, vma" ;;
    --seconds=*) seconds=${arg#*=} ;;
    --jobs=*) jobs=${arg#*=} ;;
    --replay=*) replay=$(realpath -- "${arg#*=}") ;;
    --save) save=1 ;;
    *) die "no such option: $arg" "try --help" ;;
    esac
done
[[ $seconds =~ ^[1-9][0-9]*$ ]] || die "--seconds=$seconds: not a number of seconds"
[[ $jobs =~ ^[1-9][0-9]*$ ]] || die "--jobs=$jobs: not a number of processes"
[ ${#targets[@]} -gt 0 ] || targets=(vma device)
[ -z "$replay" ] || [ ${#targets[@]} = 1 ] || die "--replay=FILE needs one --target=NAME"

# program TARGET: as ninja calls it
program()
{
    case $1 in
    device) echo qemu-fuzz-x86_64 ;;
    *) echo "tests/unit/virtio-gpu-blob-fuzz-$1" ;;
    esac
}

# corpus_of TARGET: in the tree
corpus_of()
{
    case $1 in
    device) echo "$QTEST/virtio-gpu-gl-fuzz.corpus" ;;
    *) echo "$TOP/tests/unit/virtio-gpu-blob-fuzz-$1.corpus" ;;
    esac
}

# unpack FILE DIR: the inputs, one in hexadecimal a line, as files
unpack()
{
    local hex n=0
    while read -r hex; do
        n=$((n + 1))
        # shellcheck disable=SC2059
        printf "$(sed 's/../\\x&/g' <<<"$hex")" >"$2/line-$n"
    done <"$1"
}

# pack DIR FILE: short ones first
pack()
{
    local file
    for file in "$1"/*; do
        od -An -v -tx1 "$file" | tr -d ' \n'
        echo
    done | awk '{ print length, $0 }' | LC_ALL=C sort -n -k1,1 -k2,2 | cut -d' ' -f2 >"$2"
}

# fuzzer TARGET ARGUMENT...: one process
fuzzer()
{
    local target=$1 first=()
    shift
    [ "$target" != device ] || first=(--fuzz-target=virtio-gpu-gl-blob)
    # SIGBUS is for its own handlers; nor may libFuzzer look for leaks,
    # for which it takes inputs twice
    ASAN_OPTIONS=detect_leaks=0:handle_sigbus=0:allocator_may_return_null=1 \
        UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:suppressions=$QTEST/ubsan-suppressions.txt \
        in_root "$(inside "$OURS")/$(program "$target")" "${first[@]}" \
        -handle_bus=0 -detect_leaks=0 -timeout=60 -rss_limit_mb=4096 -max_len=512 -len_control=10 "$@"
}

# keep_last DIR JOB: the input that a signal ended, if libFuzzer did not write it
keep_last()
{
    local log=$1/logs/$2 last=$1/last-$2 unit
    [ -e "$last" ] && ! grep -q 'Test unit written to' "$log" || return 0
    unit=$1/crashes/signal-$(sha1sum <"$last" | cut -d ' ' -f 1)
    cp "$last" "$unit"
    echo "Test unit written to $unit" >>"$log"
}

# one TARGET SECONDS: as many processes as asked for, on one corpus
one()
{
    local target=$1 time=$2 dir=$SERIES_DIR/fuzz/$1 before after runs cov i status pids=() bad=0
    rm -rf "$dir"/{logs,last-*}
    mkdir -p "$dir/corpus" "$dir/logs" "$dir/crashes"
    unpack "$(corpus_of "$target")" "$dir/corpus"
    before=$(find "$dir/corpus" -type f | wc -l)
    say "$target: $time s, $jobs at once, from $before inputs"
    for ((i = 0; i < jobs; i++)); do
        FUZZ_LAST=$dir/last-$i \
            fuzzer "$target" -max_total_time="$time" -print_final_stats=1 -reload=1 \
            -artifact_prefix="$dir/crashes/" "$dir/corpus" \
            >"$dir/logs/$i" 2>&1 </dev/null &
        pids+=($!)
    done
    for i in "${!pids[@]}"; do
        status=0
        wait "${pids[i]}" || status=$?
        [ "$status" = 0 ] || bad=1
        [ "$status" -le 128 ] || keep_last "$dir" "$i"
    done
    # the last number of each: what a signal ended has no statistics
    runs=$(sed -nE 's/^(#|stat::number_of_executed_units: *)([0-9]+).*/\2/p; $a end' -s "$dir"/logs/* |
        awk '/end/ { sum += n; n = 0; next } { n = $1 } END { print sum + 0 }')
    cov=$(cat "$dir"/logs/* | sed -n 's/.* cov: \([0-9]*\) .*/\1/p' | sort -n | tail -n 1)
    after=$(find "$dir/corpus" -type f | wc -l)
    printf '%-7s %s: %s executions, %s edges, %s new inputs\n' \
        "$([ "$bad" = 0 ] && echo ok || echo 'not ok')" "$target" "$runs" "${cov:-no}" $((after - before))
    if [ "$bad" = 0 ] && [ "$runs" -gt 0 ]; then
        PASSED=$((PASSED + 1))
        return
    fi
    FAILED=$((FAILED + 1))
    grep -hE -A 12 'ERROR|Assertion|assertion|runtime error' "$dir"/logs/* | head -n 40
    sed -n 's/.*Test unit written to //p' "$dir"/logs/* | sort -u | while read -r i; do
        echo "        make fuzz ARGS=\"--target=$target --replay=$i\""
    done
}

# save TARGET: the fewest and shortest that reach what all do, however often
save()
{
    local target=$1 dir=$SERIES_DIR/fuzz/$1
    rm -rf "$dir/min"
    mkdir -p "$dir/min"
    fuzzer "$target" -merge=1 -use_counters=0 -max_len=128 "$dir/min" "$dir/corpus" >"$dir/logs/merge" 2>&1 </dev/null ||
        die "$target: the corpus could not be minimised" "see $dir/logs/merge"
    pack "$dir/min" "$(corpus_of "$target")"
    say "$target: $(find "$dir/min" -type f | wc -l) inputs in $(corpus_of "$target")"
}

for target in "${targets[@]}"; do
    run "$TOP/scripts/build.sh" "$(program "$target")" >&2
done
if [ -n "$replay" ]; then
    FUZZ_VERBOSE=1 fuzzer "${targets[0]}" "$replay" || FAILED=1
    PASSED=$((1 - FAILED))
    summary
    exit
fi
for target in "${targets[@]}"; do
    one "$target" $((seconds / ${#targets[@]} > 1 ? seconds / ${#targets[@]} : 1))
    [ "$save" = 0 ] || save "$target"
done
summary
