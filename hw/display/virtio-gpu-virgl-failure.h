/*
 * virtio-gpu: what the renderer fails at
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A renderer, or the process that it starts, may fail at any command.  The
 * guest gets an error, and the operator a warning and a counter.  Commands that
 * name what could not be created follow from the host's failure: they are not
 * reported as errors of the guest's driver.  BQL held, main loop.
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
 * @FENCE: a command's fence was refused, or will never be done
 * @WINDOW_FULL: a guest gave a blob up, as the window has no place for it
 * @AFTER: a command named what could not be created
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

/**
 * virtio_gpu_virgl_failures_realize() - nothing has failed yet
 * @gl: the device, its properties set; end with
 *      virtio_gpu_virgl_failures_unrealize()
 */
void virtio_gpu_virgl_failures_realize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_failures_unrealize() - undo the above
 * @gl: the device
 */
void virtio_gpu_virgl_failures_unrealize(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_failures_reset() - forget the guest's names
 * @gl: the device; the counters stay
 */
void virtio_gpu_virgl_failures_reset(VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_failures_list() - the counters
 * @gl: the device, realized or not
 *
 * Returns: a dictionary, owned by the caller
 */
QDict *virtio_gpu_virgl_failures_list(const VirtIOGPUGL *gl);

/**
 * virtio_gpu_virgl_start_failed() - the renderer could not be started
 * @g: the device
 * @ret: what virgl_renderer_init() returned
 */
void virtio_gpu_virgl_start_failed(VirtIOGPU *g, int ret);

/**
 * virtio_gpu_virgl_started() - the renderer was started
 * @g: the device
 */
void virtio_gpu_virgl_started(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_stop() - reset the renderer, before it is started again
 * @g: the device, of which nothing is in use
 *
 * If contexts have failed, so that all that it has started is started anew.
 */
void virtio_gpu_virgl_stop(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_answer_down() - answer a command if there is no renderer
 * @g: the device
 * @cmd: the command, its header read
 *
 * Commands that need none are carried out; all others get an error.
 *
 * Returns: true if the command was answered
 */
bool virtio_gpu_virgl_answer_down(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd);

/**
 * virtio_gpu_virgl_prepare() - before a context or a mapping is made
 * @g: the device, the renderer's context 0 current
 *
 * virglrenderer finds out the cache type of OpenGL's buffers when it fills a
 * capset, and gives it to buffers that are created afterwards: one is filled
 * now, so that it does not depend on what the guest has read before.  Warns if
 * the guest has not placed the window.
 */
void virtio_gpu_virgl_prepare(VirtIOGPU *g);

/**
 * virtio_gpu_virgl_context_created() - a context was created, or not
 * @g: the device
 * @cmd: CTX_CREATE; its error is set on failure
 * @capset_id: what the guest has chosen, 0 for none
 * @ret: what the renderer returned
 */
void virtio_gpu_virgl_context_created(VirtIOGPU *g,
                                      struct virtio_gpu_ctrl_command *cmd,
                                      uint32_t capset_id, int ret);

/**
 * virtio_gpu_virgl_context_destroyed() - a context is gone
 * @g: the device
 * @ctx_id: the guest's name for it
 */
void virtio_gpu_virgl_context_destroyed(VirtIOGPU *g, uint32_t ctx_id);

/**
 * virtio_gpu_virgl_has_context() - does a context exist?
 * @g: the device
 * @ctx_id: the guest's name for it
 *
 * Returns: true if it was created, even if the renderer has lost it
 */
bool virtio_gpu_virgl_has_context(VirtIOGPU *g, uint32_t ctx_id);

/**
 * virtio_gpu_virgl_resource_created() - a texture was created, or not
 * @g: the device
 * @cmd: RESOURCE_CREATE_2D or _3D; its error is set on failure
 * @res: the resource, known; unknown and freed on failure
 * @ret: what the renderer returned
 */
void virtio_gpu_virgl_resource_created(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       struct virtio_gpu_virgl_resource *res,
                                       int ret);

/**
 * virtio_gpu_virgl_blob_created() - a blob was created
 * @g: the device
 * @resource_id: the guest's name for it
 */
void virtio_gpu_virgl_blob_created(VirtIOGPU *g, uint32_t resource_id);

/**
 * virtio_gpu_virgl_blob_failed() - a blob could not be created
 * @g: the device
 * @cmd: RESOURCE_CREATE_BLOB, its header read
 * @resource_id: the guest's name for it
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
 * @resource_id: the guest's name for it; it may not exist
 * @why: the reason, for people
 *
 * Returns: false if there is no such resource, nor was there to be one: an
 * error of the guest's driver
 */
bool virtio_gpu_virgl_scanout_failed(VirtIOGPU *g,
                                     struct virtio_gpu_ctrl_command *cmd,
                                     uint32_t resource_id, const char *why);

/**
 * virtio_gpu_virgl_fence_failed() - a context's fences will not be done
 * @g: the device
 * @cmd: a command that waits for one, or was to wait
 * @n: the number of such commands, at least 1
 * @ret: what the renderer returned
 *
 * Returns: VIRTIO_GPU_RESP_ERR_* for the answer
 */
uint32_t virtio_gpu_virgl_fence_failed(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd,
                                       unsigned n, int ret);

/**
 * virtio_gpu_virgl_given_up() - a resource is unreferenced by the guest
 * @g: the device
 * @res: the resource
 *
 * Linux creates a blob before it looks for a place in the window, and if there
 * is none, unreferences it without a RESOURCE_MAP_BLOB.
 */
void virtio_gpu_virgl_given_up(VirtIOGPU *g,
                               const struct virtio_gpu_virgl_resource *res);

/**
 * virtio_gpu_virgl_follows() - does an error follow from a failure?
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

/**
 * virtio_gpu_virgl_follows_map() - the same, for RESOURCE_MAP_BLOB
 * @g: the device
 * @cmd: the command, which is refused
 * @resource_id: the resource
 *
 * Returns: true if the host could not create it
 */
bool virtio_gpu_virgl_follows_map(VirtIOGPU *g,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  uint32_t resource_id);

/**
 * virtio_gpu_virgl_follows_unmap() - the same, for RESOURCE_UNMAP_BLOB
 * @g: the device
 * @cmd: the command
 * @resource_id: the resource
 *
 * Returns: true if it is the first one after a RESOURCE_MAP_BLOB of what the
 * host could not create
 */
bool virtio_gpu_virgl_follows_unmap(VirtIOGPU *g,
                                    struct virtio_gpu_ctrl_command *cmd,
                                    uint32_t resource_id);

#endif /* HW_DISPLAY_VIRTIO_GPU_VIRGL_FAILURE_H */
