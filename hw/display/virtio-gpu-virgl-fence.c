/*
 * virtio-gpu: the renderer's fences
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "trace.h"
#include "virtio-gpu-virgl-failure.h"
#include "virtio-gpu-virgl-fence.h"

#include <virglrenderer.h>

/*
 * If a context's fence is not complete after CHECK_AGE_MS, another fence is
 * created, which the renderer refuses if the context is dead.  So commands wait
 * for a dead context for less than the sum of these.
 */
#define CHECK_INTERVAL_MS 1000
#define CHECK_AGE_MS 500

/* A context's queue of fences, which complete in order */
typedef struct Ring {
    struct virtio_gpu_ctrl_hdr last; /* with the highest fence id */
    bool old; /* a fence has waited for CHECK_AGE_MS */
} Ring;

static bool is_of_ring(const struct virtio_gpu_ctrl_hdr *hdr)
{
#if VIRGL_VERSION_MAJOR >= 1
    return hdr->flags & VIRTIO_GPU_FLAG_INFO_RING_IDX;
#else
    return false;
#endif
}

static int create_fence(const struct virtio_gpu_ctrl_hdr *hdr)
{
#if VIRGL_VERSION_MAJOR >= 1
    if (is_of_ring(hdr)) {
        return virgl_renderer_context_create_fence(
            hdr->ctx_id, VIRGL_RENDERER_FENCE_FLAG_MERGEABLE, hdr->ring_idx,
            hdr->fence_id);
    }
#endif
    return virgl_renderer_create_fence(hdr->fence_id, hdr->type);
}

uint32_t virtio_gpu_virgl_create_fence(VirtIOGPU *g,
                                       struct virtio_gpu_ctrl_command *cmd)
{
    int ret;

    trace_virtio_gpu_fence_ctrl(cmd->cmd_hdr.fence_id, cmd->cmd_hdr.type);
    ret = create_fence(&cmd->cmd_hdr);
    if (ret) {
        return virtio_gpu_virgl_fence_failed(g, cmd, 1, ret);
    }
    cmd->fence_ms = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    return 0;
}

/* @cmd is freed. */
static void answer(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd,
                   uint32_t type)
{
    trace_virtio_gpu_fence_resp(cmd->cmd_hdr.fence_id);
    virtio_gpu_ctrl_response_nodata(g, cmd, type);
    QTAILQ_REMOVE(&g->fenceq, cmd, next);
    g_free(cmd);
    g->inflight--;
    if (virtio_gpu_stats_enabled(g->parent_obj.conf)) {
        trace_virtio_gpu_dec_inflight_fences(g->inflight);
    }
}

void virtio_gpu_virgl_drop_fences(VirtIOGPU *g, uint32_t ctx_id)
{
    struct virtio_gpu_ctrl_command *cmd, *tmp;

    QTAILQ_FOREACH_SAFE(cmd, &g->fenceq, next, tmp) {
        if (is_of_ring(&cmd->cmd_hdr) && cmd->cmd_hdr.ctx_id == ctx_id) {
            answer(g, cmd, VIRTIO_GPU_RESP_OK_NODATA);
        }
    }
}

/*
 * Contexts that are dead
 */

static bool is_in(const Ring *ring, const struct virtio_gpu_ctrl_command *cmd)
{
    return is_of_ring(&cmd->cmd_hdr) &&
           cmd->cmd_hdr.ctx_id == ring->last.ctx_id &&
           cmd->cmd_hdr.ring_idx == ring->last.ring_idx;
}

static Ring *ring_of(GArray *rings, const struct virtio_gpu_ctrl_command *cmd)
{
    Ring new = { .last = cmd->cmd_hdr };
    guint i;

    for (i = 0; i < rings->len; i++) {
        Ring *ring = &g_array_index(rings, Ring, i);

        if (is_in(ring, cmd)) {
            return ring;
        }
    }
    g_array_append_val(rings, new);
    return &g_array_index(rings, Ring, rings->len - 1);
}

static GArray *find_rings(VirtIOGPU *g, int64_t now)
{
    GArray *rings = g_array_new(false, false, sizeof(Ring));
    struct virtio_gpu_ctrl_command *cmd;

    QTAILQ_FOREACH(cmd, &g->fenceq, next) {
        Ring *ring;

        if (!is_of_ring(&cmd->cmd_hdr)) {
            continue;
        }
        ring = ring_of(rings, cmd);
        ring->old |= now - cmd->fence_ms >= CHECK_AGE_MS;
        if (cmd->cmd_hdr.fence_id > ring->last.fence_id) {
            ring->last = cmd->cmd_hdr;
        }
    }
    return rings;
}

static void fail_ring(VirtIOGPU *g, const Ring *ring, int ret)
{
    struct virtio_gpu_ctrl_command *cmd, *tmp, *first = NULL;
    uint32_t type;
    unsigned n = 0;

    QTAILQ_FOREACH(cmd, &g->fenceq, next) {
        if (is_in(ring, cmd)) {
            first = first ?: cmd;
            n++;
        }
    }
    if (!n) {
        return;
    }
    type = virtio_gpu_virgl_fence_failed(g, first, n, ret);
    QTAILQ_FOREACH_SAFE(cmd, &g->fenceq, next, tmp) {
        if (is_in(ring, cmd)) {
            answer(g, cmd, type);
        }
    }
}

/*
 * The fence that is created here has the highest id in its ring.  When it
 * completes, so do the others, and their commands are answered and freed.  That
 * may happen before create_fence() returns, for any ring, so a ring has a copy
 * of a command's header.
 */
void virtio_gpu_virgl_check_fences(VirtIOGPU *g)
{
    VirtIOGPUGL *gl = VIRTIO_GPU_GL(g);
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_VIRTUAL);
    g_autoptr(GArray) rings = NULL;
    guint i;

    if (now - gl->fences_checked_ms < CHECK_INTERVAL_MS) {
        return;
    }
    gl->fences_checked_ms = now;
    rings = find_rings(g, now);
    for (i = 0; i < rings->len; i++) {
        const Ring *ring = &g_array_index(rings, Ring, i);
        int ret = ring->old ? create_fence(&ring->last) : 0;

        /* The renderer has no memory now, which says nothing of the ring. */
        if (ret && ret != -ENOMEM) {
            fail_ring(g, ring, ret);
        }
    }
}
