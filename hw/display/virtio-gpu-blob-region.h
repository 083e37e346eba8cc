/*
 * virtio-gpu blob mappings: regions of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For what cannot be in the window's one region (virtio-gpu-blob-window.h): a
 * buffer that has no fd but only the renderer's own memory, or one that those
 * who look at guest memory cannot follow there.  A memory region, with its
 * slots, for each: dear, and few.  What the memory core or an accelerator
 * would reject aborts QEMU, so it is asked for before.
 *
 * BQL held; main loop.  The last reference of a hidden region is dropped in
 * RCU's thread, with the BQL; what follows from it runs in the main loop, as
 * the renderer wants it.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H

#include "hw/qdev-core.h"
#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-decision.h"
#include "virtio-gpu-blob-limits.h"
#include "virtio-gpu-blob-loss.h"
#include "virtio-gpu-blob-place.h"

typedef struct VirtIOGPUBlobRegion VirtIOGPUBlobRegion;
typedef struct VirtIOGPUBlobLoan VirtIOGPUBlobLoan;

/**
 * VirtIOGPUBlobReturned - nobody looks at the renderer's memory any more
 * @opaque: as given to virtio_gpu_blob_region_show_loan()
 *
 * Called once, in the main loop, when the renderer has its memory back.
 */
typedef void VirtIOGPUBlobReturned(void *opaque);

/**
 * VirtIOGPUBlobCover - put something harmless where a page is gone
 * @opaque: as given to virtio_gpu_blob_regions_init()
 * @at: page aligned
 * @len: bytes, a multiple of the host's page
 *
 * Called in a signal handler, on any thread.
 *
 * Returns: false if the kernel has no memory
 */
typedef bool VirtIOGPUBlobCover(void *opaque, void *at, uint64_t len);

/**
 * VirtIOGPUBlobRegions - a device's regions
 * @container: the host-visible region
 * @shown: the places where they are
 * @count: those that are shown, and those whose loan is not returned
 * @leaving: those hidden whose loan is not returned
 * @slots_look: KVM looks at the mappings that it makes a slot over
 * @returned: called for each loan
 * @losses: the device's
 * @cover: called for each region that has lost a page
 * @opaque: for @cover
 * @ended: loans that nobody looks at any more, for @ended_bh
 * @ended_bh: gives them back to the renderer
 */
typedef struct VirtIOGPUBlobRegions {
    MemoryRegion *container;
    IntervalTreeRoot shown;
    unsigned count;
    unsigned leaving;
    bool slots_look;
    VirtIOGPUBlobReturned *returned;
    VirtIOGPUBlobLosses *losses;
    VirtIOGPUBlobCover *cover;
    void *opaque;
    QSLIST_HEAD(, VirtIOGPUBlobLoan) ended;
    QEMUBH *ended_bh;
} VirtIOGPUBlobRegions;

/**
 * virtio_gpu_blob_regions_init() - there are none
 * @regions: end with virtio_gpu_blob_regions_destroy()
 * @dev: the device
 * @container: the host-visible region
 * @returned: what to call when a loan is returned
 * @losses: the device's; must outlive them
 * @cover: what to call when a region has lost a page
 * @opaque: for @cover
 */
void virtio_gpu_blob_regions_init(VirtIOGPUBlobRegions *regions,
                                  DeviceState *dev, MemoryRegion *container,
                                  VirtIOGPUBlobReturned *returned,
                                  VirtIOGPUBlobLosses *losses,
                                  VirtIOGPUBlobCover *cover, void *opaque);

/**
 * virtio_gpu_blob_regions_destroy() - undo virtio_gpu_blob_regions_init()
 * @regions: none of them shown or leaving
 */
void virtio_gpu_blob_regions_destroy(VirtIOGPUBlobRegions *regions);

/**
 * virtio_gpu_blob_regions_are_at() - is there a region?
 * @regions: the device's
 * @place: a range of the window
 *
 * Returns: true if any of it shows a region
 */
bool virtio_gpu_blob_regions_are_at(VirtIOGPUBlobRegions *regions,
                                    const VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_region_show_fd() - show a buffer by its fd
 * @regions: the device's
 * @fd: the buffer; may be closed afterwards
 * @place: where, page aligned and not taken; must stay until it is hidden
 * @shown: the region; end it with virtio_gpu_blob_region_hide()
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or why it is not shown
 */
VirtIOGPUBlobReason
virtio_gpu_blob_region_show_fd(VirtIOGPUBlobRegions *regions, int fd,
                               VirtIOGPUBlobPlace *place,
                               VirtIOGPUBlobRegion **shown);

/**
 * virtio_gpu_blob_region_show_loan() - show the renderer's own memory
 * @regions: the device's
 * @resource_id: known to the renderer, not mapped by it
 * @size: the blob's size in bytes
 * @place: where, page aligned and not taken; must stay until it is hidden
 * @opaque: for @regions->returned
 * @shown: the region; end it with virtio_gpu_blob_region_hide()
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or why it is not shown
 */
VirtIOGPUBlobReason
virtio_gpu_blob_region_show_loan(VirtIOGPUBlobRegions *regions,
                                 uint32_t resource_id, uint64_t size,
                                 VirtIOGPUBlobPlace *place, void *opaque,
                                 VirtIOGPUBlobRegion **shown);

/**
 * virtio_gpu_blob_region_look() - has its memory gone as a whole?
 * @region: the region, shown; its place is lost afterwards if it has
 */
void virtio_gpu_blob_region_look(VirtIOGPUBlobRegion *region);

/**
 * virtio_gpu_blob_region_touch() - find out if it has lost pages
 * @region: the region, shown
 *
 * Its place is lost afterwards if it has.  Any thread that takes SIGBUS, BQL
 * held.
 */
void virtio_gpu_blob_region_touch(VirtIOGPUBlobRegion *region);

/**
 * virtio_gpu_blob_region_hide() - the guest sees the memory no more
 * @region: the region; freed once nobody refers to it
 * @place: as shown; the caller's again
 *
 * Returns: true if that is all; false for a loan, whose return is announced
 * by @regions->returned, once nobody refers to it
 */
bool virtio_gpu_blob_region_hide(VirtIOGPUBlobRegion *region,
                                 VirtIOGPUBlobPlace *place);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_REGION_H */
