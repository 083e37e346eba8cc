/*
 * virtio-gpu blob mappings: what the host's limits leave for a window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/units.h"
#include "virtio-gpu-blob-holes.h"
#include "virtio-gpu-blob-limits.h"

/*
 * Mappings that are left to the rest of QEMU and to the renderer: a thread
 * that cannot get its stack aborts QEMU.
 */
#define MAPPINGS_LEFT 4096

uint64_t virtio_gpu_blob_limits_mappings(void)
{
    g_autofree char *text = NULL;
    uint64_t n = UINT64_MAX;

    if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL)) {
        n = g_ascii_strtoull(text, NULL, 10);
    }
    return n - MIN(n / 2, MAPPINGS_LEFT);
}

/* KVM_MEM_MAX_NR_PAGES: a slot over more makes QEMU abort */
static bool check_slot(uint64_t size, bool slots, Error **errp)
{
    ERRP_GUARD();

    if (!slots || size / qemu_real_host_page_size() <= INT32_MAX) {
        return true;
    }
    error_setg(errp, "hostmem: %" PRIu64 " GiB are more than a memory slot "
               "of KVM can have", size / GiB);
    error_append_hint(errp, "Use a smaller one, such as hostmem=256G.\n");
    return false;
}

static bool check_mappings(uint64_t size, uint64_t max, Error **errp)
{
    ERRP_GUARD();
    uint64_t needed = virtio_gpu_blob_holes_need(size);

    if (needed < max) {
        return true;
    }
    error_setg(errp, "hostmem: a window of %" PRIu64 " GiB needs %" PRIu64
               " mappings, and the host allows %" PRIu64, size / GiB, needed,
               max);
    error_append_hint(errp, "Use a smaller one, such as hostmem=256G, or "
                      "raise the limit (sysctl vm.max_map_count).\n");
    return false;
}

bool virtio_gpu_blob_limits_check(uint64_t size, bool slots, uint64_t max,
                                  Error **errp)
{
    return check_slot(size, slots, errp) && check_mappings(size, max, errp);
}

bool virtio_gpu_blob_limits_align(uint64_t page_size)
{
    return page_size > 4 * KiB;
}
