/*
 * virtio-gpu blob mappings: facts about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Finds out about a resource's buffer from the kernel, the exporter and the
 * renderer.  This is done for each mapping, as i915 may change the type of a
 * buffer until it is mapped; only an exporter's name is kept.  Main loop, BQL
 * held: the renderer is not used in any other thread.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H

#include "virtio-gpu-blob-exporter.h"

/* A resource's buffer, while it is being mapped */
typedef struct VirtIOGPUBlobBuffer {
    int fd;               /* owned, or -1 */
    uint64_t size;        /* the blob's, in bytes */
    int seals;            /* of shared memory, before its length was read */
    size_t block_size;    /* st_blksize, unless it is a dma-buf */
    VirtIOGPUBlobFacts facts;
    const char *exporter; /* for messages: its name, or NULL */
} VirtIOGPUBlobBuffer;

/**
 * virtio_gpu_blob_buffer_open() - export a buffer and query its facts
 * @buf: filled in; end with virtio_gpu_blob_buffer_close()
 * @host: the host; with a confidential guest nothing is queried
 * @resource_id: known to the renderer
 * @size: the blob's size in bytes
 *
 * Does not change the buffer, and does not read the exporter's name.
 */
void virtio_gpu_blob_buffer_open(VirtIOGPUBlobBuffer *buf,
                                 const VirtIOGPUBlobHost *host,
                                 uint32_t resource_id, uint64_t size);

/**
 * virtio_gpu_blob_buffer_read_exporter() - read the exporter's name
 * @buf: an open buffer; @exporter is set if it is a dma-buf with a name
 * @known: the name kept from earlier mappings of the resource, or NULL
 *
 * Returns: false if there was no file descriptor left for this
 */
bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          VirtIOGPUBlobNamed *known);

/*
 * Seals shared memory against shrinking before it is mapped, so that its pages
 * cannot be lost.  Does nothing for other buffers, or if sealing is not
 * possible.  Returns false if the buffer is now shorter than the blob.
 */
bool virtio_gpu_blob_buffer_seal(VirtIOGPUBlobBuffer *buf);

/*
 * Whether shared memory is on hugetlbfs.  mmap() rounds the length of such a
 * mapping up to a huge page, so it would cover what is next to the blob.
 */
bool virtio_gpu_blob_buffer_has_huge_pages(const VirtIOGPUBlobBuffer *buf);

void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H */
