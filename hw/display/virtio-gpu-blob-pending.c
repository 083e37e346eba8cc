/*
 * virtio-gpu blob mappings: what waits for the end of the guest's kick
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "virtio-gpu-blob-pending.h"

static bool is_unmap(const VirtIOGPUBlobWaiter *waiter)
{
    return waiter->cmd->cmd_hdr.type == VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
}

static bool may_wait(const struct virtio_gpu_ctrl_command *cmd,
                     const struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;

    if (!m || cmd->cmd_hdr.flags & VIRTIO_GPU_FLAG_FENCE) {
        return false;
    }
    return cmd->cmd_hdr.type == VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB
           ? virtio_gpu_blob_mapping_wait(m)
           : m->state == VIRTIO_GPU_BLOB_ENDING;
}

bool virtio_gpu_blob_pending_hold(VirtIOGPUBlobPending *pending,
                                  struct virtio_gpu_ctrl_command *cmd,
                                  struct virtio_gpu_virgl_resource *res)
{
    if (pending->n == VIRTIO_GPU_BLOB_PENDING_MAX || !may_wait(cmd, res)) {
        return false;
    }
    pending->waiters[pending->n++] = (VirtIOGPUBlobWaiter) {
        .cmd = cmd,
        .res = res,
    };
    return true;
}

/*
 * Settle
 */

static void answer_unmap(VirtIOGPU *g, const VirtIOGPUBlobWaiter *waiter)
{
    uint32_t type = VIRTIO_GPU_RESP_OK_NODATA;

    if (waiter->res->blob.mapping) {
        type = virtio_gpu_blob_reason_error(VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS);
    }
    virtio_gpu_ctrl_response_nodata(g, waiter->cmd, type);
}

/* As any other: it has no mapping to wait for, or one that could not end. */
static void process_unref(VirtIOGPU *g, const VirtIOGPUBlobWaiter *waiter)
{
    VIRTIO_GPU_GET_CLASS(g)->process_cmd(g, waiter->cmd);
}

static void finish(VirtIOGPU *g, const VirtIOGPUBlobWaiter *waiter)
{
    if (is_unmap(waiter)) {
        answer_unmap(g, waiter);
    } else {
        process_unref(g, waiter);
    }
    g_free(waiter->cmd);
}

static void end_mappings(VirtIOGPUBlobPending *pending)
{
    VirtIOGPUBlobPlace *places[VIRTIO_GPU_BLOB_PENDING_MAX];
    unsigned i, n = 0;

    for (i = 0; i < pending->n; i++) {
        if (is_unmap(&pending->waiters[i])) {
            places[n++] = &pending->waiters[i].res->blob.mapping->place;
        }
    }
    virtio_gpu_blob_mappings_end_all(pending->mappings, places, n);
}

void virtio_gpu_blob_pending_settle(VirtIOGPUBlobPending *pending)
{
    unsigned i, n = pending->n;

    if (!n) {
        return;
    }
    end_mappings(pending);
    /* Nothing waits any more, so that none of these waits again. */
    pending->n = 0;
    for (i = 0; i < n; i++) {
        finish(pending->g, &pending->waiters[i]);
    }
}

/*
 * Replace
 */

static bool is_same(const VirtIOGPUBlobPlace *a, const VirtIOGPUBlobPlace *b)
{
    return a->node.start == b->node.start && a->node.last == b->node.last;
}

struct virtio_gpu_virgl_resource *
virtio_gpu_blob_pending_at(VirtIOGPUBlobPending *pending,
                           const struct virtio_gpu_virgl_resource *res,
                           const VirtIOGPUBlobPlace *place)
{
    struct virtio_gpu_virgl_resource *found = NULL;
    unsigned i;

    for (i = 0; i < pending->n; i++) {
        const VirtIOGPUBlobWaiter *waiter = &pending->waiters[i];

        if (waiter->res == res) {
            return NULL;
        }
        if (is_unmap(waiter) && is_same(&waiter->res->blob.mapping->place,
                                        place)) {
            found = waiter->res;
        }
    }
    return found;
}

void
virtio_gpu_blob_pending_replaced(VirtIOGPUBlobPending *pending,
                                 const struct virtio_gpu_virgl_resource *res)
{
    unsigned i = 0;

    /* Of those that wait for it, the one that unmaps it is the first. */
    while (pending->waiters[i].res != res) {
        i++;
    }
    finish(pending->g, &pending->waiters[i]);
    pending->n--;
    memmove(&pending->waiters[i], &pending->waiters[i + 1],
            (pending->n - i) * sizeof(pending->waiters[0]));
}
