/*
 * virtio-gpu resources that the renderer knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/virtio/virtio-gpu-blob.h"

#include <virglrenderer.h>

static gpointer resource_key(uint32_t resource_id)
{
    return GUINT_TO_POINTER(resource_id);
}

struct virtio_gpu_virgl_resource *
virtio_gpu_virgl_find_resource(VirtIOGPU *g, uint32_t resource_id)
{
    return g_hash_table_lookup(VIRTIO_GPU_GL(g)->resources,
                               resource_key(resource_id));
}

void virtio_gpu_virgl_add_resource(VirtIOGPU *g,
                                   struct virtio_gpu_virgl_resource *res)
{
    QTAILQ_INSERT_HEAD(&g->reslist, &res->base, next);
    g_hash_table_insert(VIRTIO_GPU_GL(g)->resources,
                        resource_key(res->base.resource_id), res);
}

void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id)
{
    struct iovec *iov = NULL;
    int num_iovs = 0;

    virgl_renderer_resource_detach_iov(resource_id, &iov, &num_iovs);
    if (iov) {
        virtio_gpu_cleanup_mapping_iov(g, iov, num_iovs);
    }
    virgl_renderer_resource_unref(resource_id);
}

static void disable_scanouts(VirtIOGPU *g,
                             struct virtio_gpu_simple_resource *res)
{
    int i;

    /* GCOVR_EXCL_START: needs a display that shows dma-bufs */
    for (i = 0; i < g->parent_obj.conf.max_outputs; i++) {
        /* A bit stays when another kind of resource takes the scanout. */
        if (res->scanout_bitmask & (1 << i) &&
            g->parent_obj.scanout[i].resource_id == res->resource_id) {
            virtio_gpu_disable_scanout(g, i);
        }
    }
    /* GCOVR_EXCL_STOP */
}

void virtio_gpu_virgl_resource_destroy(VirtIOGPU *g,
                                       struct virtio_gpu_simple_resource *base,
                                       Error **errp)
{
    struct virtio_gpu_virgl_resource *res =
        container_of(base, struct virtio_gpu_virgl_resource, base);

    disable_scanouts(g, base);
    virgl_renderer_force_ctx_0();
    if (virtio_gpu_blob_abandon(g, res)) {
        virtio_gpu_virgl_release(g, base->resource_id);
    }
    QTAILQ_REMOVE(&g->reslist, base, next);
    g_hash_table_remove(VIRTIO_GPU_GL(g)->resources,
                        resource_key(base->resource_id));
    /* The iov itself is the renderer's since the resource was created. */
    g_free(base->addrs);
    g_free(res);
}
