#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# vulkan-trace.sh NAME TRACE WANT: what our QEMU decided, while vulkan-job.sh ran
# in a guest. WANT is a pattern that one decision has, that on the memory of the
# renderer's device. The last line is "N passed, N failed".

set -uo pipefail

name=$1 trace=$2 want=$3
passed=0 failed=0

# verdict STATUS WHAT
verdict()
{
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED - $name: $2"
    fi
}

# how many of each kind went how; without a trace, the checks below fail
sed -n 's/.*virtio_gpu_blob_decision resource [0-9]* context [0-9]* \(.*\)/\1/p' \
    "$trace" 2>/dev/null | sort | uniq -c | sed "s/^ */$name: blobs: /"

grep -qs 'virtio_gpu_blob_map .* map_info [123] ' "$trace" &&
    ! grep -q 'virtio_gpu_blob_map .* map_info [^123]' "$trace"
verdict $? "host-visible memory arrives as blobs of a known type"

grep -qs "virtio_gpu_blob_decision .* $want" "$trace"
verdict $? "the renderer's memory is decided on: $want"

echo "$passed passed, $failed failed"
