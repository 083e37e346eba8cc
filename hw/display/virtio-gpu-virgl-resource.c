/*
 * virtio-gpu resources that the renderer knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-virgl.h"

#include <virglrenderer.h>

static gint compare_resource_ids(gconstpointer a, gconstpointer b)
{
    return GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b)
           ? -1 : GPOINTER_TO_UINT(a) > GPOINTER_TO_UINT(b);
}

/* Not a hash table, as a guest could choose ids that collide */
void virtio_gpu_virgl_resources_init(VirtIOGPUGL *gl)
{
    gl->resources = g_tree_new(compare_resource_ids);
}

void virtio_gpu_virgl_resources_destroy(VirtIOGPUGL *gl)
{
    g_tree_unref(gl->resources);
    gl->resources = NULL;
}

static gpointer resource_key(uint32_t resource_id)
{
    return GUINT_TO_POINTER(resource_id);
}

struct virtio_gpu_virgl_resource *
virtio_gpu_virgl_find_resource(VirtIOGPU *g, uint32_t resource_id)
{
    return g_tree_lookup(VIRTIO_GPU_GL(g)->resources,
                         resource_key(resource_id));
}

void virtio_gpu_virgl_add_resource(VirtIOGPU *g,
                                   struct virtio_gpu_virgl_resource *res)
{
    QTAILQ_INSERT_HEAD(&g->reslist, &res->base, next);
    g_tree_insert(VIRTIO_GPU_GL(g)->resources,
                  resource_key(res->base.resource_id), res);
}

void virtio_gpu_virgl_detach_backing(VirtIOGPU *g, uint32_t resource_id)
{
    struct iovec *iov = NULL;
    int num_iovs = 0;

    virgl_renderer_resource_detach_iov(resource_id, &iov, &num_iovs);
    if (iov) {
        virtio_gpu_cleanup_mapping_iov(g, iov, num_iovs);
    }
}

void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id)
{
    virtio_gpu_virgl_detach_backing(g, resource_id);
    virgl_renderer_resource_unref(resource_id);
}

void virtio_gpu_virgl_remove_resource(VirtIOGPU *g,
                                      struct virtio_gpu_virgl_resource *res)
{
    QTAILQ_REMOVE(&g->reslist, &res->base, next);
    g_tree_remove(VIRTIO_GPU_GL(g)->resources,
                  resource_key(res->base.resource_id));
    /* The iov itself belongs to the renderer. */
    g_free(res->base.addrs);
    g_free(res);
}

void virtio_gpu_virgl_disable_scanouts(VirtIOGPU *g,
                                       struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(g);
    int i;

    for (i = 0; i < b->conf.max_outputs; i++) {
        /*
         * A bit may be stale, if another kind of resource uses the scanout now.
         */
        if (res->base.scanout_bitmask & (1 << i) &&
            b->scanout[i].resource_id == res->base.resource_id) {
            virtio_gpu_disable_scanout(g, i);
        }
    }
}
