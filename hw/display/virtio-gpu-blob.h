/*
 * virtio-gpu blob mappings: for virtio-gpu-virgl.c and virtio-gpu-gl.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest chooses every value in these commands: what the memory core, KVM or
 * the kernel would reject by an abort is refused before.  Main loop, with the
 * BQL.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_H

#include "virtio-gpu-virgl.h"

#ifdef CONFIG_VIRTIO_GPU_BLOB

/**
 * virtio_gpu_blob_must_wait() - check a command before it is processed
 * @g: the device
 * @cmd: any command, its header read
 *
 * Returns: true if @cmd creates a resource whose id the renderer still has, as
 * the memory of an earlier one is in use; the queue resumes by itself
 */
bool virtio_gpu_blob_must_wait(VirtIOGPU *g,
                               const struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_blob_cmd_map() - RESOURCE_MAP_BLOB (virtio 1.3, 5.7.6.10)
 * @g: the device
 * @cmd: the command; answered if granted, else its error is set
 * @suspended: set to true when the command is to be processed again later:
 *             an earlier mapping of the resource is still in use
 */
void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd,
                             bool *suspended);

/**
 * virtio_gpu_blob_cmd_unmap() - RESOURCE_UNMAP_BLOB (virtio 1.3, 5.7.6.10)
 * @g: the device
 * @cmd: the command; its error is set on failure
 */
void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_blob_end() - unmap a resource that is about to be destroyed
 * @res: the resource, mapped or not
 *
 * Returns: true if the renderer's resource may be released now; false if this
 * happens later, once its memory is not in use any more
 */
bool virtio_gpu_blob_end(struct virtio_gpu_virgl_resource *res);

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

#else /* an older virglrenderer, a 32-bit host, or not Linux: maps no blobs */

static inline void virtio_gpu_blob_cmd_map(VirtIOGPU *g,
                                           struct virtio_gpu_ctrl_command *cmd,
                                           bool *suspended)
{
    cmd->error = VIRTIO_GPU_RESP_ERR_UNSPEC;
}

static inline void
virtio_gpu_blob_cmd_unmap(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    cmd->error = VIRTIO_GPU_RESP_ERR_UNSPEC;
}

static inline bool
virtio_gpu_blob_must_wait(VirtIOGPU *g,
                          const struct virtio_gpu_ctrl_command *cmd)
{
    return false;
}

static inline bool virtio_gpu_blob_end(struct virtio_gpu_virgl_resource *res)
{
    return true;
}

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

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_H */
