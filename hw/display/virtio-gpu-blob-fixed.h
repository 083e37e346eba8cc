/*
 * virtio-gpu blob mappings: a buffer that only the renderer can map
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Many buffers have no fd that could be handed out.  From virglrenderer 1.3 on
 * it maps such a buffer wherever it is told to, and forgets where that was: it
 * is asked to do so in memory that is reserved for it alone, and what it has
 * done there is looked at.  BQL held, main loop: the renderer can be used
 * nowhere else.
 */

#ifndef HW_DISPLAY_VIRTIO_GPU_BLOB_FIXED_H
#define HW_DISPLAY_VIRTIO_GPU_BLOB_FIXED_H

#include <virglrenderer.h>

/* virglrenderer 1.3; whether it is there is found out when QEMU runs. */
int virgl_renderer_resource_map_fixed(uint32_t resource_id, void *at);
#pragma weak virgl_renderer_resource_map_fixed

/**
 * virtio_gpu_blob_fixed_map() - have the renderer map a buffer
 * @resource_id: known to the renderer
 * @len: bytes, a multiple of the host's page
 *
 * Returns: where @len bytes of it are mapped, readable and writable, and no
 * more; or NULL, if the renderer cannot, or has done anything else
 */
void *virtio_gpu_blob_fixed_map(uint32_t resource_id, uint64_t len);

#endif /* HW_DISPLAY_VIRTIO_GPU_BLOB_FIXED_H */
