/*
 * virtio-gpu resources that the renderer knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The list of the device's resources, and their release in the renderer.
 * Mappings are in virtio-gpu-blob.c.  Main loop, BQL held: the renderer cannot
 * be used in any other thread.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_VIRGL_H
#define HW_DISPLAY_VIRTIO_GPU_VIRGL_H

#include "hw/virtio/virtio-gpu.h"
#include "virtio-gpu-blob-exporter.h"

/**
 * VirtIOGPUBlob - what a resource needs to be mapped as a blob
 * @ctx_id: the context that created it
 * @flags: VIRTIO_GPU_BLOB_FLAG_*, 0 for other resources
 * @map_asked: the guest has sent RESOURCE_MAP_BLOB, granted or refused
 * @map_refused: the last one was refused, and no RESOURCE_UNMAP_BLOB followed
 * @mapping: where it is mapped (virtio-gpu-blob-internal.h), or NULL
 * @named: its buffer and the name of the exporter, once it was read
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

/* Sets up an empty list of resources. */
void virtio_gpu_virgl_resources_init(VirtIOGPUGL *gl);

/* Frees the list of resources, which is empty. */
void virtio_gpu_virgl_resources_destroy(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_find_resource() - find a resource by its id
 * @g: the device
 * @resource_id: its id, any value
 *
 * Returns: the resource, or NULL
 */
struct virtio_gpu_virgl_resource *
virtio_gpu_virgl_find_resource(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_add_resource() - add a resource to the device
 * @g: the device, which owns @res from now on
 * @res: a resource with an id that is not in use
 */
void virtio_gpu_virgl_add_resource(VirtIOGPU *g,
                                   struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_remove_resource() - remove a resource
 * @g: the device
 * @res: the resource, not mapped; freed
 */
void virtio_gpu_virgl_remove_resource(VirtIOGPU *g,
                                      struct virtio_gpu_virgl_resource *res);

/*
 * Removes a resource from all displays that show it as a blob, that is by
 * SET_SCANOUT_BLOB.
 */
void virtio_gpu_virgl_disable_scanouts(VirtIOGPU *g,
                                       struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_detach_backing() - detach its guest memory
 * @g: the device
 * @resource_id: known to the renderer, with a backing or without
 */
void virtio_gpu_virgl_detach_backing(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_release() - release it in the renderer
 * @g: the device
 * @resource_id: known to the renderer, not mapped by it
 */
void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id);

/*
 * Releases and frees a resource; @errp is not used.  This is VirtIOGPUClass's
 * resource_destroy, in virtio-gpu-virgl.c.
 */
void virtio_gpu_virgl_resource_destroy(VirtIOGPU *g,
                                       struct virtio_gpu_simple_resource *base,
                                       Error **errp);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_H */
