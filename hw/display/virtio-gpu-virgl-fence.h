/*
 * virtio-gpu: the renderer's fences
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fenced command stays in the device's fence queue until the renderer reports
 * that its fence is complete.  The renderer reports nothing for fences that it
 * refuses, for those of a destroyed context, and if the process that runs the
 * context has died.  The commands of such fences are answered here.  Main loop,
 * BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H
#define HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H

#include "hw/virtio/virtio-gpu.h"

/*
 * Creates the fence of a command that was carried out.  Returns 0 if the
 * command must wait for the fence, or VIRTIO_GPU_RESP_ERR_*.
 */
uint32_t virtio_gpu_virgl_create_fence(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd);

/*
 * Finds fences that will never complete.  Called while commands wait, after the
 * renderer was polled; does its work once a second of virtual time.
 */
void virtio_gpu_virgl_check_fences(VirtIOGPU *g);

/* Answers the commands that wait for fences of a destroyed context. */
void virtio_gpu_virgl_drop_fences(VirtIOGPU *g, uint32_t ctx_id);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H */
