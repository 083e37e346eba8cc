/*
 * virtio-gpu blob mappings: a device's state, from realize to unrealize
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * BQL held, main loop, but for virtio_gpu_blob_trim().
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H

#include "hw/virtio/virtio-gpu.h"

#if VIRGL_VERSION_MAJOR >= 1

#include "virtio-gpu-blob-mapping.h"
#include "virtio-gpu-blob-pending.h"
#include "virtio-gpu-blob-report.h"
#include "virtio-gpu-blob-vcpu.h"

typedef struct VirtIOGPUBlobs {
    VirtIOGPUBlobHost host;
    VirtIOGPUBlobMappings mappings;
    VirtIOGPUBlobPending pending; /* commands, until the kick's end */
    VirtIOGPUBlobVCPUs vcpus;
    VirtIOGPUBlobRefusals refusals;
    VirtIOGPUBlobLog log;
} VirtIOGPUBlobs;

/**
 * virtio_gpu_blob_class_init() - add the class properties
 * @oc: the device's class, with its qdev properties set
 */
void virtio_gpu_blob_class_init(ObjectClass *oc);

/**
 * virtio_gpu_blob_realize() - set up blob mappings
 * @gl: the device, its hostmem container set up by the PCI proxy, before its
 *      parent is realized
 * @errp: set when the window, or a property's "on", cannot be had
 */
bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp);

/**
 * virtio_gpu_blob_unrealize() - undo virtio_gpu_blob_realize()
 * @gl: the device, without resources
 */
void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_draining() - whether the renderer's memory is still in use
 *
 * The renderer must not be reset until then; ctrl queue handling resumes by
 * itself.
 */
bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_trim() - free memory after a reset
 * @gl: the device, without mappings
 */
void virtio_gpu_blob_trim(VirtIOGPUGL *gl);

#else /* an older virglrenderer maps no blobs */

static inline void virtio_gpu_blob_class_init(ObjectClass *oc)
{
}

static inline bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp)
{
    return true;
}

static inline void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl)
{
}

static inline bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl)
{
    return false;
}

static inline void virtio_gpu_blob_trim(VirtIOGPUGL *gl)
{
}

#endif

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_DEVICE_H */
