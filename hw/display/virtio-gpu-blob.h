/*
 * virtio-gpu blob mappings: for virtio-gpu-virgl.c and virtio-gpu-gl.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The guest chooses every value in these commands.  Requests for which the
 * memory core, KVM or the kernel would make QEMU abort are refused first.  Main
 * loop, BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_H

#include "virtio-gpu-virgl.h"

#ifdef CONFIG_VIRTIO_GPU_BLOB

/*
 * True if @cmd creates a resource whose id the renderer still uses, because the
 * memory of an earlier resource is in use.  The queue resumes by itself.
 */
bool virtio_gpu_blob_must_wait(VirtIOGPU *g,
                               const struct virtio_gpu_ctrl_command *cmd);

/*
 * RESOURCE_MAP_BLOB (virtio 1.3, 5.7.6.10).  Answers @cmd, or sets its error.
 * Suspends @cmd while an earlier mapping of the resource is still in use.
 */
void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd);

/*
 * RESOURCE_UNMAP_BLOB (virtio 1.3, 5.7.6.10).  Sets the error of @cmd on
 * failure.
 */
void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd);

/*
 * Unmaps a resource that is about to be destroyed.  Returns true if the caller
 * must release the renderer's resource, false if that happens later because its
 * memory is still in use.
 */
bool virtio_gpu_blob_unmap_resource(struct virtio_gpu_virgl_resource *res);

/* Adds the class properties; the qdev properties of @oc are set before. */
void virtio_gpu_blob_class_init(ObjectClass *oc);

/*
 * Sets up blob mappings before the parent is realized.  The PCI proxy has set
 * up the hostmem container.  Fails if the window cannot be reserved, or if a
 * property that is "on" is not possible.
 */
bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp);

/**
 * virtio_gpu_blob_unrealize() - undo virtio_gpu_blob_realize()
 * @gl: the device, without resources
 */
void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl);

/*
 * True while memory of the renderer is in use.  The renderer must not be reset
 * until then; the control queue resumes by itself.
 */
bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl);

/*
 * After a reset: unmaps what could not be unmapped before, and frees the memory
 * of the holes.
 */
void virtio_gpu_blob_trim(VirtIOGPUGL *gl);

#else /* an older virglrenderer, a 32-bit host, or not Linux: maps no blobs */

static inline void virtio_gpu_blob_cmd_map(VirtIOGPU *g,
                                           struct virtio_gpu_ctrl_command *cmd)
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

static inline bool
virtio_gpu_blob_unmap_resource(struct virtio_gpu_virgl_resource *res)
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
