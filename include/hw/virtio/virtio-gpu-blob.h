/*
 * virtio-gpu blob mappings: coherency-aware RESOURCE_MAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The interface between the virgl device and the code that maps blobs.
 * Everything here runs with the BQL held and, but for
 * virtio_gpu_blob_trim(), in the main loop.
 */

#ifndef HW_VIRTIO_GPU_BLOB_H
#define HW_VIRTIO_GPU_BLOB_H

#include "hw/qdev-properties.h"
#include "hw/virtio/virtio-gpu.h"
#include "hw/virtio/virtio-gpu-blob-decision.h"

/*
 * The answer to RESOURCE_MAP_BLOB for a blob in the shared-memory region
 * VIRTIO_GPU_SHM_ID_HOST_VISIBLE: struct virtio_gpu_resp_map_info, where
 * map_info is exactly VIRTIO_GPU_MAP_CACHE_CACHED, _UNCACHED or _WC and
 * padding is 0 (virtio 1.3, 5.7.6.11).  On the wire this is the standard's
 * VIRTIO_GPU_RESP_OK_MAP_INFO.
 */
#define VIRTIO_GPU_SHM_MAP_INFO VIRTIO_GPU_RESP_OK_MAP_INFO

typedef struct VirtIOGPUBlobs VirtIOGPUBlobs;
typedef struct VirtIOGPUBlobMapping VirtIOGPUBlobMapping;

/**
 * VirtIOGPUBlob - what a resource needs to be mapped as a blob
 * @ctx_id: the context that created it
 * @flags: VIRTIO_GPU_BLOB_FLAG_*, 0 for other resources
 * @mapping: where it is mapped, or NULL
 */
typedef struct VirtIOGPUBlob {
    uint32_t ctx_id;
    uint32_t flags;
    VirtIOGPUBlobMapping *mapping;
} VirtIOGPUBlob;

struct virtio_gpu_virgl_resource {
    struct virtio_gpu_simple_resource base;
    VirtIOGPUBlob blob;
};

/**
 * virtio_gpu_blob_class_init() - add the read-only properties
 * @oc: the device's class
 */
void virtio_gpu_blob_class_init(ObjectClass *oc);

/**
 * virtio_gpu_blob_realize() - set up blob mappings for a device
 * @gl: the device, its hostmem container set up by the PCI proxy
 * @errp: set when the window cannot be had
 *
 * Returns: false on error
 */
bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp);

/**
 * virtio_gpu_blob_unrealize() - undo virtio_gpu_blob_realize()
 * @gl: the device, without resources
 */
void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_draining() - is memory of the renderer still referred to?
 * @gl: the device
 *
 * The renderer must not be reset until then; ctrl queue handling resumes by
 * itself.
 *
 * Returns: true if the renderer must be left alone
 */
bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl);

/**
 * virtio_gpu_blob_cmd_map() - RESOURCE_MAP_BLOB (virtio 1.3, 5.7.6.10)
 * @g: the device
 * @cmd: the command; answered here when granted, else its error is set
 */
void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_blob_cmd_unmap() - RESOURCE_UNMAP_BLOB (virtio 1.3, 5.7.6.10)
 * @g: the device
 * @cmd: the command; its error is set on failure
 * @suspended: set to true when the command is to be processed again later
 */
void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd,
                               bool *suspended);

/**
 * virtio_gpu_blob_unmap() - end a resource's mapping, if it has one
 * @g: the device
 * @res: the resource
 * @suspended: set to true when this must be called again later, because
 *             somebody still refers to the renderer's memory
 *
 * Returns: VIRTIO_GPU_BLOB_OK, or why it is still mapped
 */
VirtIOGPUBlobReason
virtio_gpu_blob_unmap(VirtIOGPU *g, struct virtio_gpu_virgl_resource *res,
                      bool *suspended);

/**
 * virtio_gpu_blob_abandon() - end a mapping whose resource goes at once
 * @g: the device
 * @res: the resource; its mapping is gone afterwards
 *
 * Returns: true if the renderer's resource may be released now; false if
 * that happens later, once nobody refers to its memory
 */
bool virtio_gpu_blob_abandon(VirtIOGPU *g,
                             struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_blob_trim() - give memory back after a reset
 * @g: the device, without mappings
 */
void virtio_gpu_blob_trim(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_find_resource() - look a resource up, in constant time
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
 * virtio_gpu_virgl_resource_destroy() - release all that a resource has
 * @g: the device
 * @base: the resource; freed
 * @errp: not used
 */
void virtio_gpu_virgl_resource_destroy(VirtIOGPU *g,
                                       struct virtio_gpu_simple_resource *base,
                                       Error **errp);

/**
 * virtio_gpu_virgl_release() - let the renderer forget a resource
 * @g: the device
 * @resource_id: known to the renderer, not mapped
 */
void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id);

extern const PropertyInfo qdev_prop_virtio_gpu_map_policy;

#define DEFINE_PROP_VIRTIO_GPU_MAP_POLICY(_n, _s, _f)                   \
    DEFINE_PROP_SIGNED(_n, _s, _f, VIRTIO_GPU_MAP_POLICY_SAFE,          \
                       qdev_prop_virtio_gpu_map_policy, VirtIOGPUMapPolicy)

#endif /* HW_VIRTIO_GPU_BLOB_H */
