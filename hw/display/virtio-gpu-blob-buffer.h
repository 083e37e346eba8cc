/*
 * virtio-gpu blob mappings: facts about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Asks the kernel, the exporter and the renderer about a resource's buffer when
 * it is mapped.  Only an exporter's name is kept: i915 changes the type of a
 * buffer until it is mapped.  BQL held, main loop: the renderer is used
 * nowhere else.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H

#include "virtio-gpu-blob-exporter.h"

/* A resource's buffer, while it is being mapped */
typedef struct VirtIOGPUBlobBuffer {
    int fd;               /* owned, or -1 */
    uint64_t size;        /* the blob's, in bytes */
    VirtIOGPUBlobFacts facts;
    const char *exporter; /* for messages: its name, or NULL */
} VirtIOGPUBlobBuffer;

/**
 * virtio_gpu_blob_buffer_open() - export a buffer and ask about it
 * @buf: filled in; end with virtio_gpu_blob_buffer_close()
 * @host: the host; of a confidential guest's buffers nothing is asked
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
 * @known: the resource's, from earlier mappings
 *
 * Returns: false if there was no file descriptor left to read it
 */
bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          VirtIOGPUBlobNamed *known);

/**
 * virtio_gpu_blob_buffer_seal() - seal shared memory against shrinking
 * @buf: an open buffer that is about to be mapped; any backing
 *
 * Where it can be sealed, its pages cannot be lost while it is mapped.
 *
 * Returns: false if it is shorter than the blob by now
 */
bool virtio_gpu_blob_buffer_seal(const VirtIOGPUBlobBuffer *buf);

void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H */
