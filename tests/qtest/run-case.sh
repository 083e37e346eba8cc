#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run-case.sh SECONDS LOGS PROGRAM PATH: one case of a test program
#
# Prints "RESULT<tab>PATH<tab>TIME", and what was said if it failed; RESULT is
# ok, not ok or skip.  All output is kept in LOGS.
set -uo pipefail

[ $# -eq 4 ] || {
    sed -n '4,/^[^#]\|^$/s/^# \?//p' "$0"
    exit 1
}
limit=$1 program=$3 path=$4
log=$2/$(printf '%s' "$path" | tr / -).log
start=$EPOCHREALTIME
status=0
setpriv --pdeathsig TERM -- timeout -k 5 "$limit" "$program" --tap -k \
    ${QTEST_SLOW:+-m slow} -p "$path" >"$log" 2>&1 &
group=$!
wait "$group" || status=$?
# A QEMU that hangs outlives the test that started it.
kill -KILL -- "-$group" 2>/dev/null
time=$(awk -v a="$start" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')
case $status in
124 | 137) echo "not done after $limit s" >>"$log" ;;
12[89] | 1[3-9]?) echo "ended by signal $((status - 128))" >>"$log" ;;
esac
result='not ok'
if [ "$status" = 0 ] && grep -q "^ok .*$path" "$log"; then
    result=ok
    # TAP's way to say that a test was skipped
    ! grep -qi "^ok .*# SKIP" "$log" || result=skip
fi
# TSan goes on, as it has much to say about QEMU: what is in our files counts,
# and in the device's modules, whose lines it does not always know.
if grep -Eq '^SUMMARY: ThreadSanitizer: .*(hw/display/virtio-gpu-blob|/hw-display-virtio-[^/ ]*\.so)' "$log"; then
    result='not ok'
fi
if [ "$result" = skip ]; then
    path+=" ($(sed -n 's/^ok .*# SKIP *//ip' "$log" | head -n 1))"
fi
if [ "$result" = 'not ok' ] && [ -z "${QUIET:-}" ]; then
    {
        echo "--- $path"
        grep -v '^# \(Start\|End\|starting\|random\)' "$log" | tail -n 25
        echo "---"
    } >&2
fi
printf '%s\t%s\t%s\n' "$result" "$path" "$time"
