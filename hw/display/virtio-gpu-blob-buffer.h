/*
 * virtio-gpu blob mappings: what can be found out about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gets hold of a resource's buffer for as long as it is being mapped, and
 * asks the kernel, its exporter and the renderer about it.  Facts only: what
 * follows from them is decided in virtio-gpu-blob-decision.h.  No answer is
 * kept, since it may change until the buffer is mapped (i915); whose buffer it
 * is does not.  BQL held, main loop: the renderer can be used nowhere else.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H

#include "virtio-gpu-blob-decision.h"
#include "virtio-gpu-blob-exporter.h"
#include "virtio-gpu-blob-host.h"

/**
 * VirtIOGPUBlobBuffer - a resource's buffer, while it is being mapped
 * @fd: a handle of our own, or -1
 * @facts: what is known; facts.exporter is NULL, or @exporter if that matters
 * @exporter: the exporter's name, empty until it is read or if there is none
 */
typedef struct VirtIOGPUBlobBuffer {
    int fd;
    VirtIOGPUBlobFacts facts;
    char exporter[64];
} VirtIOGPUBlobBuffer;

/**
 * virtio_gpu_blob_buffer_open() - get hold of a buffer and ask about it
 * @buf: filled in; end with virtio_gpu_blob_buffer_close()
 * @host: the host; nothing is asked about a buffer of a confidential guest
 * @resource_id: known to the renderer
 * @size: the blob's size in bytes
 *
 * All but the exporter's name, which is seldom needed.  Shared memory is sealed
 * against shrinking, where it is not sealed against seals: its length is then
 * what it was found to be for as long as it is mapped.
 */
void virtio_gpu_blob_buffer_open(VirtIOGPUBlobBuffer *buf,
                                 const VirtIOGPUBlobHost *host,
                                 uint32_t resource_id, uint64_t size);

/**
 * virtio_gpu_blob_buffer_read_exporter() - read the exporter's name
 * @buf: an open buffer; @exporter stays empty where there is none
 * @names: the device's; follow with virtio_gpu_blob_names_rest()
 * @named: the resource's, from earlier mappings
 *
 * Returns: false if the limit on file descriptors is below @names->fd by now
 */
bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          VirtIOGPUBlobNames *names,
                                          VirtIOGPUBlobNamed *named);

/**
 * virtio_gpu_blob_buffer_close() - let go of a buffer
 * @buf: as opened
 */
void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H */
