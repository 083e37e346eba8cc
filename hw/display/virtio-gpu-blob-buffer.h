/*
 * virtio-gpu blob mappings: what can be found out about one buffer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Gets hold of a resource's buffer for as long as it is being mapped, and
 * asks the kernel, its exporter and the renderer about it.  Facts only: what
 * follows from them is decided in virtio-gpu-blob-decision.h.  Nothing is
 * kept, since the answers may change until the buffer is mapped (i915).  BQL
 * held, main loop: the renderer can be used nowhere else.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H

#include "virtio-gpu-blob-decision.h"
#include "virtio-gpu-blob-host.h"

/**
 * VirtIOGPUBlobNames - how exporters' names are read
 * @fd: a file descriptor at which buffers take turns, or -1
 * @info: what the kernel tells of the file that is at @fd, or -1
 *
 * Opening and closing a file of /proc costs several times what reading it
 * does, so one is held open, and the buffers come to it.
 */
typedef struct VirtIOGPUBlobNames {
    int fd;
    int info;
} VirtIOGPUBlobNames;

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
 * virtio_gpu_blob_names_open() - get ready to read names
 * @names: end with virtio_gpu_blob_names_close()
 *
 * Without /proc no name is ever found.
 */
void virtio_gpu_blob_names_open(VirtIOGPUBlobNames *names);

/**
 * virtio_gpu_blob_names_close() - undo virtio_gpu_blob_names_open()
 * @names: opened
 */
void virtio_gpu_blob_names_close(VirtIOGPUBlobNames *names);

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
 * @names: the device's
 *
 * The first exp_name of /proc/self/fdinfo/FD: what follows it can be set by
 * anyone who holds the buffer (drivers/dma-buf/dma-buf.c,
 * dma_buf_show_fdinfo()).
 *
 * Returns: false if the limit on file descriptors is below @names->fd by now
 */
bool virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf,
                                          const VirtIOGPUBlobNames *names);

/**
 * virtio_gpu_blob_buffer_close() - let go of a buffer
 * @buf: as opened
 */
void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_BUFFER_H */
