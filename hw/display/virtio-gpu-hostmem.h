/*
 * virtio-gpu: the size of the host-visible memory region
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_HOSTMEM_H
#define HW_DISPLAY_VIRTIO_GPU_HOSTMEM_H

#include "qapi/error.h"
#include "qemu/host-utils.h"
#include "qemu/units.h"

/* No host has more user address space (x86 with five-level page tables) */
#define VIRTIO_GPU_HOSTMEM_MAX (1ULL << 56)

/**
 * virtio_gpu_hostmem_check() - check the hostmem property
 * @size: bytes, 0 for no host-visible memory
 * @errp: set to the error, with a hint
 *
 * The size of a PCI BAR is a power of two; less than 1 MiB is of no use.
 *
 * Returns: true if @size is valid
 */
static inline bool virtio_gpu_hostmem_check(uint64_t size, Error **errp)
{
    ERRP_GUARD();

    if (!size ||
        (is_power_of_2(size) && size >= MiB && size < VIRTIO_GPU_HOSTMEM_MAX)) {
        return true;
    }
    error_setg(errp, "hostmem: %" PRIu64 " bytes is not a power of two "
               "between 1 MiB and the host's address space", size);
    error_append_hint(errp, "Sizes take a suffix: hostmem=4G or "
                      "hostmem=8G, for example.\n");
    return false;
}

#endif /* HW_DISPLAY_VIRTIO_GPU_HOSTMEM_H */
