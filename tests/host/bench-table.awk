# SPDX-License-Identifier: GPL-2.0-or-later
#
# What virtio-gpu-gl-bench measured with no other blob mapped, ours beside the
# floor: one mmap() each way, and two empty commands.  Medians of the
# rounds, in microseconds.  Passed is what was measured.

BEGIN { FS = "\t" }
NF == 5 {
    key = $1 " " $3 " " $4
    value[key, ++n[key]] = $5
}

# The median of what was measured under this key; 0 if nothing was
function median(key,    i, j, swap)
{
    for (i = 2; i <= n[key]; i++) {
        for (j = i; j > 1 && value[key, j] < value[key, j - 1]; j--) {
            swap = value[key, j]
            value[key, j] = value[key, j - 1]
            value[key, j - 1] = swap
        }
    }
    return n[key] ? value[key, int((n[key] + 1) / 2)] : 0
}

function compare(which, name,    ours, floor, empty)
{
    empty = median("ours - empty")
    ours = median("ours " which " map") + median("ours " which " unmap")
    floor = median("floor - map+unmap") + 2 * empty
    if (!ours || !empty || floor == 2 * empty) {
        print "FAILED - bench: " name " was not measured"
        failed++
        return
    }
    passed++
    printf "bench: %s: map and unmap %.1f us, the floor %.1f us: %.2f times\n",
           name, ours, floor, ours / floor
}

END {
    compare("shm", "shared memory")
    compare("answers", "a dma-buf")
    print passed + 0 " passed, " failed + 0 " failed"
}
