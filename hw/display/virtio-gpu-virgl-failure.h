/*
 * virtio-gpu: failures of the renderer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The renderer, or a process that it starts, may fail at any command.  The
 * guest gets an error, and the operator a warning and a counter.  Later
 * commands that use a resource or context that could not be created are not
 * reported as errors of the guest's driver.  Main loop, BQL held.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_VIRGL_FAILURE_H
#define HW_DISPLAY_VIRTIO_GPU_VIRGL_FAILURE_H

#include "hw/virtio/virtio-gpu.h"

struct virtio_gpu_virgl_resource;

/**
 * VirtIOGPUVirglFailure - the kinds of failures, as blob-map-stats counts them
 * @START: the renderer could not be started
 * @CONTEXT: a context could not be created
 * @RESOURCE: a resource that is not a blob could not be created
 * @BLOB: a blob could not be created
 * @SCANOUT: a resource could not be shown
 * @FENCE: a command's fence was refused, or will never complete
 * @WINDOW_FULL: a guest released a blob, as the window has no place for it
 * @AFTER: a command used a resource or context that could not be created
 */
typedef enum VirtIOGPUVirglFailure {
    VIRTIO_GPU_VIRGL_START,
    VIRTIO_GPU_VIRGL_CONTEXT,
    VIRTIO_GPU_VIRGL_RESOURCE,
    VIRTIO_GPU_VIRGL_BLOB,
    VIRTIO_GPU_VIRGL_SCANOUT,
    VIRTIO_GPU_VIRGL_FENCE,
    VIRTIO_GPU_VIRGL_WINDOW_FULL,
    VIRTIO_GPU_VIRGL_AFTER,
    VIRTIO_GPU_VIRGL_FAILURE__MAX,
} VirtIOGPUVirglFailure;

/* Sets up the counters; the properties of @gl are set. */
void virtio_gpu_virgl_failures_realize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_failures_unrealize() - free the counters
 * @gl: the device
 */
void virtio_gpu_virgl_failures_unrealize(VirtIOGPUGL *gl);

/* Forgets contexts and failed ids at a reset; the counters are kept. */
void virtio_gpu_virgl_failures_reset(VirtIOGPUGL *gl);

/*
 * Returns the counters, all 0 before realize.  The caller owns the dictionary.
 */
QDict *virtio_gpu_virgl_failures_list(const VirtIOGPUGL *gl);

/* Reports that virgl_renderer_init() failed and returned @ret. */
void virtio_gpu_virgl_start_failed(VirtIOGPU *g, int ret);

/* Called when the renderer was started. */
void virtio_gpu_virgl_started(VirtIOGPU *g);

/*
 * Resets the renderer before it is started again.  If a context has failed,
 * also stops all processes that the renderer has started.
 */
void virtio_gpu_virgl_stop(VirtIOGPU *g);

/*
 * Answers @cmd if the renderer could not be started.  Commands that do not need
 * the renderer are carried out, all others get an error.  Returns true if @cmd
 * was answered.
 */
bool virtio_gpu_virgl_answer_down(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_virgl_prepare() - prepare for a context or a mapping
 * @g: the device, the renderer's context 0 current
 *
 * virglrenderer finds out the cache type of OpenGL's buffers when it fills a
 * capset, and assigns it to buffers that are created afterwards.  So a capset
 * is filled now, in case the guest has not read any.  Warns if the guest has
 * not placed the window.
 */
void virtio_gpu_virgl_prepare(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_context_created() - handle the result of CTX_CREATE
 * @g: the device
 * @cmd: CTX_CREATE; its error is set on failure
 * @capset_id: what the guest has chosen, 0 for none
 * @ret: what the renderer returned
 */
void virtio_gpu_virgl_context_created(VirtIOGPU *g,
                                      struct virtio_gpu_ctrl_command *cmd,
                                      uint32_t capset_id, int ret);

/* Called when the guest has destroyed a context. */
void virtio_gpu_virgl_context_destroyed(VirtIOGPU *g, uint32_t ctx_id);

/**
 * virtio_gpu_virgl_has_context() - check whether a context exists
 * @g: the device
 * @ctx_id: its id in the guest's commands
 *
 * Returns: true if it was created, even if the renderer has lost it
 */
bool virtio_gpu_virgl_has_context(VirtIOGPU *g, uint32_t ctx_id);

/**
 * virtio_gpu_virgl_resource_created() - handle the result of a creation
 * @g: the device
 * @cmd: RESOURCE_CREATE_2D or _3D; its error is set on failure
 * @res: the resource; removed from the device and freed on failure
 * @ret: what the renderer returned
 */
void virtio_gpu_virgl_resource_created(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       struct virtio_gpu_virgl_resource *res,
                                       int ret);

/* Called when a blob was created. */
void virtio_gpu_virgl_blob_created(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_blob_failed() - a blob could not be created
 * @g: the device
 * @cmd: RESOURCE_CREATE_BLOB, its header read
 * @resource_id: its id in the guest's commands
 * @size: its size in bytes
 * @ret: what the renderer returned
 */
void virtio_gpu_virgl_blob_failed(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  uint32_t resource_id, uint64_t size,
                                  int ret);

/**
 * virtio_gpu_virgl_scanout_failed() - a resource cannot be shown
 * @g: the device
 * @cmd: SET_SCANOUT or SET_SCANOUT_BLOB
 * @resource_id: its id in the guest's commands; it may not exist
 * @why: the reason, for messages
 *
 * Returns: false for an error of the guest's driver: the resource does not
 * exist, and this is not because the host could not create it
 */
bool virtio_gpu_virgl_scanout_failed(VirtIOGPU *g,
                                     struct virtio_gpu_ctrl_command *cmd,
                                     uint32_t resource_id, const char *why);

/**
 * virtio_gpu_virgl_fence_failed() - report fences that will not complete
 * @g: the device
 * @cmd: a command that waits for such a fence, or should have waited
 * @n: the number of such commands, at least 1
 * @ret: what the renderer returned
 *
 * Returns: VIRTIO_GPU_RESP_ERR_* for the answer
 */
uint32_t virtio_gpu_virgl_fence_failed(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       unsigned n, int ret);

/*
 * Called when the guest unreferences a resource.  Linux creates a blob before
 * it looks for a place in the window.  If there is none, it unreferences the
 * blob without a RESOURCE_MAP_BLOB.
 */
void virtio_gpu_virgl_given_up(VirtIOGPU *g,
                               const struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_follows() - check whether a failure is the cause
 * @g: the device
 * @cmd: a command that names a resource that does not exist
 * @resource_id: the resource
 *
 * Returns: true if the host could not create it; counted, and not to be
 * reported as an error of the guest's driver
 */
bool virtio_gpu_virgl_follows(VirtIOGPU *g,
                              struct virtio_gpu_ctrl_command *cmd,
                              uint32_t resource_id);

/* As virtio_gpu_virgl_follows(), for a RESOURCE_MAP_BLOB that is refused */
bool virtio_gpu_virgl_follows_map(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  uint32_t resource_id);

/*
 * As virtio_gpu_virgl_follows(), for RESOURCE_UNMAP_BLOB.  Returns true only
 * for the first one after a RESOURCE_MAP_BLOB of a resource that the host could
 * not create.
 */
bool virtio_gpu_virgl_follows_unmap(VirtIOGPU *g,
                                    struct virtio_gpu_ctrl_command *cmd,
                                    uint32_t resource_id);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_FAILURE_H */
