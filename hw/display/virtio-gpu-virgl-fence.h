/*
 * virtio-gpu: the renderer's fences
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A fenced command stays in the device's fence queue until the renderer says
 * that its fence is done.  The renderer says nothing of fences that it refuses,
 * that belong to a context which is destroyed, or whose context is run by a
 * process that has died: their commands are answered here.  BQL held, main
 * loop.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H
#define HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H

#include "hw/virtio/virtio-gpu.h"

/**
 * virtio_gpu_virgl_create_fence() - have the renderer make a command's fence
 * @g: the device
 * @cmd: a command with VIRTIO_GPU_FLAG_FENCE, carried out
 *
 * Returns: 0 if the command is to wait for it, or VIRTIO_GPU_RESP_ERR_*
 */
uint32_t virtio_gpu_virgl_create_fence(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_virgl_check_fences() - find fences that will never be done
 * @g: the device, the renderer polled
 *
 * To be called as long as commands wait; looks once a second of virtual time.
 */
void virtio_gpu_virgl_check_fences(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_drop_fences() - answer what waits for a context's fences
 * @g: the device
 * @ctx_id: a context that was destroyed
 */
void virtio_gpu_virgl_drop_fences(VirtIOGPU *g, uint32_t ctx_id);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_FENCE_H */
