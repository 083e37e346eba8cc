/*
 * virtio-gpu blob mappings: what waits for the end of the guest's kick
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The UNMAP_BLOBs of one kick are carried out together: neighbours by one
 * mapping of the kernel's, and what is mapped in the place of another without
 * a hole in between.  Until then the guest may see the buffer that it had; it
 * is answered when that is gone, or could not go.
 *
 * Nothing else notices.  Before any other command is carried out, all that
 * waits is settled, but for the commands that a guest sends between two
 * unmappings: a RESOURCE_UNREF of what is about to be unmapped waits behind
 * it, and so does nothing that needs the resource.  When the queue has been
 * processed, nothing waits: neither a reset nor a reader of properties finds
 * anything here.  BQL held; main loop, within virtio_gpu_process_cmdq().
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_PENDING_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_PENDING_H

#include "virtio-gpu-blob-mapping.h"

/* More bring little, and each is looked at when something is mapped. */
#define VIRTIO_GPU_BLOB_PENDING_MAX 64

/**
 * VirtIOGPUBlobWaiter - a command that waits
 * @cmd: UNMAP_BLOB or RESOURCE_UNREF; owned
 * @res: what it is about.  An UNMAP_BLOB's has a mapping that is ENDING; a
 *       RESOURCE_UNREF's had one when it came
 */
typedef struct VirtIOGPUBlobWaiter {
    struct virtio_gpu_ctrl_command *cmd;
    struct virtio_gpu_virgl_resource *res;
} VirtIOGPUBlobWaiter;

/**
 * VirtIOGPUBlobPending - a device's
 * @g: the device
 * @mappings: its mappings
 * @waiters: in the order in which they came
 * @n: how many
 */
typedef struct VirtIOGPUBlobPending {
    VirtIOGPU *g;
    VirtIOGPUBlobMappings *mappings;
    VirtIOGPUBlobWaiter waiters[VIRTIO_GPU_BLOB_PENDING_MAX];
    unsigned n;
} VirtIOGPUBlobPending;

/**
 * virtio_gpu_blob_pending_hold() - let a command wait, if it may
 * @pending: the device's
 * @cmd: UNMAP_BLOB or RESOURCE_UNREF; the caller lets go of it if true is
 *       returned
 * @res: what it is about
 *
 * Returns: false if it must be carried out now, when all that waits is settled
 */
bool virtio_gpu_blob_pending_hold(VirtIOGPUBlobPending *pending,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_blob_pending_settle() - carry out and answer all that waits
 * @pending: the device's
 *
 * Resources may go.
 */
void virtio_gpu_blob_pending_settle(VirtIOGPUBlobPending *pending);

/**
 * virtio_gpu_blob_pending_at() - whose place can a resource take?
 * @pending: the device's
 * @res: the resource
 * @place: where it shall be
 *
 * Returns: a resource that waits to be unmapped from there; or NULL, also if
 * something waits for @res itself
 */
struct virtio_gpu_virgl_resource *
virtio_gpu_blob_pending_at(VirtIOGPUBlobPending *pending,
                           const struct virtio_gpu_virgl_resource *res,
                           const VirtIOGPUBlobPlace *place);

/**
 * virtio_gpu_blob_pending_replaced() - answer an UNMAP_BLOB
 * @pending: the device's
 * @res: what it is about; another has taken its place
 */
void
virtio_gpu_blob_pending_replaced(VirtIOGPUBlobPending *pending,
                                 const struct virtio_gpu_virgl_resource *res);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_PENDING_H */
