/*
 * virtio-gpu blob mappings: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The two commands, each as the specification reads: parse, check, ask,
 * decide, place, answer.  All that a step needs to know is in the room of its
 * own that it calls.  A guest chooses every value here: what the memory core,
 * KVM or the kernel would reject with an abort is refused before.  BQL held,
 * main loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_H

#include "virtio-gpu-virgl.h"

#if VIRGL_VERSION_MAJOR >= 1

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
 * virtio_gpu_blob_hold() - before a command of any kind is carried out
 * @g: the device
 * @cmd: the command, its header read
 *
 * Commands that wait are settled, unless this one may join them.
 *
 * Returns: true if it waits, too: it is answered, and freed, by
 * the end of the kick at the latest, and has left the queue by then
 */
bool virtio_gpu_blob_hold(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_blob_unmap() - end a resource's mapping, if it has one
 * @res: the resource
 * @suspended: set to true when this must be called again later, because
 *             somebody still refers to the renderer's memory
 *
 * Returns: 0, or VIRTIO_GPU_RESP_ERR_* if it is still mapped
 */
uint32_t virtio_gpu_blob_unmap(struct virtio_gpu_virgl_resource *res,
                               bool *suspended);

/**
 * virtio_gpu_blob_abandon() - end a mapping whose resource goes at once
 * @res: the resource; its mapping, if it has one, is gone afterwards
 *
 * Returns: true if the renderer's resource may be released now; false if
 * that happens later, once nobody refers to its memory
 */
bool virtio_gpu_blob_abandon(struct virtio_gpu_virgl_resource *res);

#else /* an older virglrenderer maps no blobs */

static inline bool virtio_gpu_blob_hold(VirtIOGPU *g,
                                        struct virtio_gpu_ctrl_command *cmd)
{
    return false;
}

static inline bool
virtio_gpu_blob_abandon(struct virtio_gpu_virgl_resource *res)
{
    return true;
}

#endif

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_H */
