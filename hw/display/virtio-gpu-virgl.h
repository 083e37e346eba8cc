/*
 * virtio-gpu resources that the renderer knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The device's resources by the guest's names for them, and what the renderer
 * must do when one goes.  How a resource is mapped is not known here.  BQL
 * held, main loop: the renderer can be used nowhere else.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_VIRGL_H
#define HW_DISPLAY_VIRTIO_GPU_VIRGL_H

#include "hw/virtio/virtio-gpu.h"
#include "virtio-gpu-blob-exporter.h"

/**
 * VirtIOGPUBlob - what a resource needs to be mapped as a blob
 * @ctx_id: the context that created it
 * @flags: VIRTIO_GPU_BLOB_FLAG_*, 0 for other resources
 * @map_asked: the guest has asked for a mapping, which was made or refused
 * @map_refused: the last one was refused, and no RESOURCE_UNMAP_BLOB came since
 * @mapping: where it is mapped (virtio-gpu-blob-internal.h), or NULL
 * @named: its buffer, once the exporter's name was asked for
 */
typedef struct VirtIOGPUBlob {
    uint32_t ctx_id;
    uint32_t flags;
    bool map_asked;
    bool map_refused;
    struct VirtIOGPUBlobMapping *mapping;
    VirtIOGPUBlobNamed named;
} VirtIOGPUBlob;

struct virtio_gpu_virgl_resource {
    struct virtio_gpu_simple_resource base;
    VirtIOGPUBlob blob;
};

/**
 * virtio_gpu_virgl_resources_init() - there are none
 * @gl: the device; end with virtio_gpu_virgl_resources_destroy()
 */
void virtio_gpu_virgl_resources_init(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_resources_destroy() - undo the above
 * @gl: the device, without resources
 */
void virtio_gpu_virgl_resources_destroy(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_find_resource() - look a resource up, whatever its id
 * @g: the device
 * @resource_id: the guest's name for it
 *
 * Returns: the resource, or NULL
 */
struct virtio_gpu_virgl_resource *
virtio_gpu_virgl_find_resource(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_add_resource() - make a resource known
 * @g: the device, which owns @res from now on
 * @res: a resource with an id that is not in use
 */
void virtio_gpu_virgl_add_resource(VirtIOGPU *g,
                                   struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_remove_resource() - make it unknown again
 * @g: the device
 * @res: the resource, not mapped; freed
 */
void virtio_gpu_virgl_remove_resource(VirtIOGPU *g,
                                      struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_disable_scanouts() - show it on no display any more
 * @g: the device
 * @res: the resource
 */
void virtio_gpu_virgl_disable_scanouts(VirtIOGPU *g,
                                       struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_detach_backing() - let go of the guest's memory
 * @g: the device
 * @resource_id: known to the renderer, with a backing or without
 */
void virtio_gpu_virgl_detach_backing(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_release() - let the renderer forget a resource
 * @g: the device
 * @resource_id: known to the renderer, not mapped by it
 */
void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_resource_destroy() - release all that a resource has
 * @g: the device
 * @base: the resource; freed
 * @errp: not used
 *
 * VirtIOGPUClass's, in virtio-gpu-virgl.c.
 */
void virtio_gpu_virgl_resource_destroy(VirtIOGPU *g,
                                       struct virtio_gpu_simple_resource *base,
                                       Error **errp);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_H */
