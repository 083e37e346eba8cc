/*
 * virtio-gpu blob mappings: what the host's limits leave for a window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asked when a device is realized, and by who looks at a host before there is
 * one.  Any thread, no lock.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_LIMITS_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_LIMITS_H

/*
 * Each region costs two sections of a flat view, of which the memory core
 * can have 4096 in all (physmem.c, phys_section_add()), and a map's cost
 * grows with the regions that are there.  With 256 the first limit is far,
 * and a map takes less than a millisecond.
 */
#define VIRTIO_GPU_BLOB_REGIONS_MAX 256

/**
 * virtio_gpu_blob_limits_mappings() - the kernel's mappings for a window
 *
 * vm.max_map_count, but for what is left to the rest of QEMU.
 *
 * Returns: how many a window may take
 */
uint64_t virtio_gpu_blob_limits_mappings(void);

/**
 * virtio_gpu_blob_limits_check() - can there be such a window?
 * @size: bytes, a power of two and a multiple of the host's page
 * @slots: KVM runs the guest
 * @max: how many mappings it may take
 * @errp: set with the limit and what to do about it
 *
 * Whether the address space can be had is found out by reserving it.
 *
 * Returns: true if no limit is in its way
 */
bool virtio_gpu_blob_limits_check(uint64_t size, bool slots, uint64_t max,
                                  Error **errp);

/**
 * virtio_gpu_blob_limits_align() - must guests be told how to align blobs?
 * @page_size: the host's page in bytes
 *
 * Guests with pages of 4 KiB align to these by themselves; and drivers are
 * known that take the feature and then do not do as it says (Mesa's Venus).
 *
 * Returns: true if the host's page is larger than theirs may be
 */
bool virtio_gpu_blob_limits_align(uint64_t page_size);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_LIMITS_H */
