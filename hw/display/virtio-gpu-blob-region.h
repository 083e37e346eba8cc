/*
 * virtio-gpu blob mappings: a region of its own for one blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H

#include "hw/virtio/virtio-gpu-blob-memory.h"
#include "qom/object.h"

#define TYPE_VIRTIO_GPU_BLOB_REGION "virtio-gpu-blob-region"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobRegion, VIRTIO_GPU_BLOB_REGION)

/**
 * VirtIOGPUBlobRegionGone - nobody looks at the memory any more
 * @opaque: as given
 *
 * Called once, from RCU's thread, with the BQL held.
 */
typedef void (*VirtIOGPUBlobRegionGone)(void *opaque);

/**
 * virtio_gpu_blob_region_room() - can one more region be added?
 * @regions: how many there are
 *
 * What the memory core or KVM would reject aborts QEMU: asked before.
 *
 * Returns: true if every user of memory slots has room for all of them, as
 * those of a BAR that the guest has moved away come back at once
 */
bool virtio_gpu_blob_region_room(unsigned regions);

/**
 * virtio_gpu_blob_region_new() - show memory in the window
 * @container: the host-visible region
 * @offset: bytes from the window's start
 * @host: the memory, page aligned; must stay until @gone is called
 * @len: bytes, a multiple of the host's page
 * @gone: called when the memory may go
 * @opaque: for @gone
 *
 * Returns: the region; end it with virtio_gpu_blob_region_delete()
 */
VirtIOGPUBlobRegion *virtio_gpu_blob_region_new(MemoryRegion *container,
                                                uint64_t offset, void *host,
                                                uint64_t len,
                                                VirtIOGPUBlobRegionGone gone,
                                                void *opaque);

/**
 * virtio_gpu_blob_region_delete() - hide the memory from the guest
 * @region: the region; freed once nobody refers to it
 */
void virtio_gpu_blob_region_delete(VirtIOGPUBlobRegion *region);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H */
