/*
 * virtio-gpu blob mappings: what can be found out
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_FACTS_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_FACTS_H

#include "hw/virtio/virtio-gpu-blob-decision.h"

/**
 * VirtIOGPUBlobVM - what the VM allows
 * @confidential_guest: a confidential guest, of any kind
 * @guest_type_honoured: the guest's choice of WC or UNCACHED has an effect
 */
typedef struct VirtIOGPUBlobVM {
    bool confidential_guest;
    bool guest_type_honoured;
} VirtIOGPUBlobVM;

/**
 * virtio_gpu_blob_vm_init() - find out, and make the best of it
 * @vm: filled in
 *
 * On KVM/x86 the guest's PAT is switched on for the VM where the host has
 * the switch: do this before vCPUs run.
 */
void virtio_gpu_blob_vm_init(VirtIOGPUBlobVM *vm);

/**
 * VirtIOGPUBlobBuffer - a resource's buffer, while it is being mapped
 * @fd: a handle of our own, or -1
 * @facts: what is known; facts.exporter points to @exporter or is NULL
 * @exporter: room for the exporter's name
 */
typedef struct VirtIOGPUBlobBuffer {
    int fd;
    VirtIOGPUBlobFacts facts;
    char exporter[64];
} VirtIOGPUBlobBuffer;

/**
 * virtio_gpu_blob_buffer_open() - get hold of a buffer and ask about it
 * @buf: filled in; end with virtio_gpu_blob_buffer_close()
 * @vm: the VM; nothing is asked about a buffer of a confidential guest
 * @resource_id: known to the renderer
 * @size: the blob's size in bytes
 *
 * All but the exporter's name, which is slow to read.
 */
void virtio_gpu_blob_buffer_open(VirtIOGPUBlobBuffer *buf,
                                 const VirtIOGPUBlobVM *vm,
                                 uint32_t resource_id, uint64_t size);

/**
 * virtio_gpu_blob_buffer_read_exporter() - read the exporter's name
 * @buf: an open buffer
 *
 * The first exp_name of /proc/self/fdinfo/FD: what follows it can be set by
 * anyone who holds the buffer (drivers/dma-buf/dma-buf.c,
 * dma_buf_show_fdinfo()).
 */
void virtio_gpu_blob_buffer_read_exporter(VirtIOGPUBlobBuffer *buf);

/**
 * virtio_gpu_blob_buffer_close() - let go of a buffer
 * @buf: as opened
 */
void virtio_gpu_blob_buffer_close(VirtIOGPUBlobBuffer *buf);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_FACTS_H */
