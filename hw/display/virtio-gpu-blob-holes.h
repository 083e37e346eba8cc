/*
 * virtio-gpu blob mappings: what the window shows where no blob is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One small memfd shows again and again, so that a guest may read and write
 * anywhere, and QEMU grows by no more than that file.  What is next to each
 * other joins into one mapping of the kernel's, but for the places that blobs
 * left last: they stay apart for the next blob, since a mapping that is
 * replaced as a whole costs half of one that is cut out and merged again.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H

#include "qemu/interval-tree.h"

/**
 * VirtIOGPUBlobHoles - the window's address space and its holes
 * @base: where the window is in QEMU's address space
 * @size: bytes
 * @page_size: the host's page in bytes
 * @dumped: the window goes into QEMU's core, as the guest's memory does
 * @fd: the memory that shows in holes
 * @period: its size in bytes
 * @store: mappings kept in store, or NULL: a hole can always be put back,
 *         even when the kernel has no more for this process
 * @store_len: bytes
 * @places: those that blobs left and that stay apart
 * @by_age: the same, the oldest first
 */
typedef struct VirtIOGPUBlobHoles {
    uint8_t *base;
    uint64_t size;
    uint64_t page_size;
    bool dumped;
    int fd;
    uint64_t period;
    void *store;
    size_t store_len;
    IntervalTreeRoot places;
    GQueue by_age;
} VirtIOGPUBlobHoles;

/**
 * virtio_gpu_blob_holes_init() - reserve a window that is one hole
 * @holes: end with virtio_gpu_blob_holes_destroy(), after a failure too
 * @size: bytes, a power of two and a multiple of the host's page
 * @dumped: shall it be in QEMU's core?
 * @errp: set when the address space or the memory cannot be had
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_holes_init(VirtIOGPUBlobHoles *holes, uint64_t size,
                                bool dumped, Error **errp);

/**
 * virtio_gpu_blob_holes_destroy() - give back all but the address space
 * @holes: its base stays mapped, since others may still read there
 */
void virtio_gpu_blob_holes_destroy(VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_mappings() - mappings beyond one for each hole
 * @holes: the window's holes
 *
 * Returns: how many of the kernel's mappings they take at most
 */
uint64_t virtio_gpu_blob_holes_mappings(const VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_fill() - show a buffer in a hole
 * @holes: the window's holes
 * @fd: the buffer
 * @offset: bytes from the window's start, a multiple of the host's page
 * @len: bytes, a multiple of the host's page
 *
 * Returns: 0, or a negative errno with the hole as it was
 */
int virtio_gpu_blob_holes_fill(VirtIOGPUBlobHoles *holes, int fd,
                               uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_holes_leave() - take a buffer away, expect another
 * @holes: the window's holes
 * @offset: as filled
 * @len: as filled
 *
 * Returns: false if the kernel has no memory, with the buffer still there
 */
bool virtio_gpu_blob_holes_leave(VirtIOGPUBlobHoles *holes,
                                 uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_holes_mend() - one hole, joined with those around
 * @holes: the window's holes
 * @offset: bytes from the window's start, a multiple of the host's page
 * @len: bytes, a multiple of the host's page
 *
 * Returns: false if the kernel has no memory, with nothing changed
 */
bool virtio_gpu_blob_holes_mend(VirtIOGPUBlobHoles *holes,
                                uint64_t offset, uint64_t len);

/**
 * virtio_gpu_blob_holes_tidy() - join the places that blobs left
 * @holes: the window's holes
 *
 * Where the kernel has no memory, some stay as they are.
 */
void virtio_gpu_blob_holes_tidy(VirtIOGPUBlobHoles *holes);

/**
 * virtio_gpu_blob_holes_trim() - tidy, and give the memory back
 * @holes: the window's holes
 */
void virtio_gpu_blob_holes_trim(VirtIOGPUBlobHoles *holes);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_HOLES_H */
