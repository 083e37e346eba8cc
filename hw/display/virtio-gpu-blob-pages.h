/*
 * virtio-gpu blob mappings: which pages of the window are populated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a RamDiscardManager does for the window: others who look at guest
 * memory are told which pages come and go, blob by blob, and never see a hole.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_PAGES_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_PAGES_H

#include "hw/virtio/virtio-gpu-blob-memory.h"

/*
 * VFIO needs a mapping for each blob, and has 65535 by default
 * (drivers/vfio/vfio_iommu_type1.c, dma_entry_limit), of which it sets one
 * aside for each of KVM's 32764 memory slots.
 */
#define VIRTIO_GPU_BLOB_LISTENED_MAX 32768

/**
 * VirtIOGPUBlobPages - the window's pages
 * @page_size: the host's page in bytes
 * @n: how many there are
 * @populated: a bit for each page
 * @starts: a bit for each page that a blob begins with
 * @count: blobs
 * @holes: runs of pages that are not populated
 * @listeners: who wants to know
 */
typedef struct VirtIOGPUBlobPages {
    uint64_t page_size;
    uint64_t n;
    unsigned long *populated;
    unsigned long *starts;
    uint64_t count;
    uint64_t holes;
    QLIST_HEAD(, RamDiscardListener) listeners;
} VirtIOGPUBlobPages;

/**
 * virtio_gpu_blob_pages_init() - no page is populated, nobody listens
 * @pages: end with virtio_gpu_blob_pages_destroy()
 * @size: the window's size in bytes, a multiple of @page_size
 * @page_size: the host's page in bytes
 */
void virtio_gpu_blob_pages_init(VirtIOGPUBlobPages *pages, uint64_t size,
                                uint64_t page_size);

/**
 * virtio_gpu_blob_pages_destroy() - free what init allocated
 * @pages: without listeners
 */
void virtio_gpu_blob_pages_destroy(VirtIOGPUBlobPages *pages);

/**
 * virtio_gpu_blob_pages_have_room() - can all listeners map one more blob?
 * @pages: the window's pages
 *
 * Returns: true if nobody listens or it fits
 */
bool virtio_gpu_blob_pages_have_room(const VirtIOGPUBlobPages *pages);

/**
 * virtio_gpu_blob_pages_populate() - a buffer is there now
 * @pages: the window's pages
 * @offset: bytes from the window's start, a multiple of the page
 * @len: bytes, a multiple of the page; none of them populated
 *
 * Returns: false if a listener failed; then all have been told that the
 * pages are gone again, and they are not populated
 */
bool virtio_gpu_blob_pages_populate(VirtIOGPUBlobPages *pages,
                                    uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_pages_discard() - a buffer is about to go
 * @pages: the window's pages
 * @offset: as populated; nothing happens if it is not
 * @len: as populated
 */
void virtio_gpu_blob_pages_discard(VirtIOGPUBlobPages *pages,
                                   uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_pages_is_populated() - is all of a section populated?
 * @pages: the window's pages
 * @section: a section of the window's region
 *
 * Returns: true if no page that @section touches is a hole
 */
bool virtio_gpu_blob_pages_is_populated(const VirtIOGPUBlobPages *pages,
                                        const MemoryRegionSection *section);

/**
 * virtio_gpu_blob_pages_replay() - visit a section blob by blob
 * @pages: the window's pages
 * @section: a section of the window's region
 * @populated: visit the blobs, or else the runs of pages between them
 * @func: called with each run; a result other than 0 ends the visit
 * @opaque: for @func
 *
 * Returns: @func's last result, 0 if it was not called
 */
int virtio_gpu_blob_pages_replay(const VirtIOGPUBlobPages *pages,
                                 const MemoryRegionSection *section,
                                 bool populated,
                                 int (*func)(MemoryRegionSection *run,
                                             void *opaque),
                                 void *opaque);

/**
 * virtio_gpu_blob_pages_listen() - tell a listener from now on
 * @pages: the window's pages
 * @rdl: the listener; told at once of what is populated
 * @section: what it wants to know about; copied
 *
 * Returns: 0, the listener's error, or -ENOSPC if there are more blobs than
 * one can map; then it is told of what comes from now on only
 */
int virtio_gpu_blob_pages_listen(VirtIOGPUBlobPages *pages,
                                 RamDiscardListener *rdl,
                                 MemoryRegionSection *section);

/**
 * virtio_gpu_blob_pages_unlisten() - tell a listener no more
 * @pages: the window's pages
 * @rdl: a listener; told that all is gone
 */
void virtio_gpu_blob_pages_unlisten(VirtIOGPUBlobPages *pages,
                                    RamDiscardListener *rdl);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_PAGES_H */
