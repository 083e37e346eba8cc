/*
 * virtio-gpu blob mappings: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-gpu-bswap.h"
#include "hw/virtio/virtio-gpu-map-info.h"
#include "trace.h"
#include "virtio-gpu-blob.h"
#include "virtio-gpu-blob-internal.h"
#include "virtio-gpu-virgl-failure.h"

#include <virglrenderer.h>

/* A RESOURCE_MAP_BLOB command while it is processed */
typedef struct MapRequest {
    VirtIOGPUBlobs *blobs;
    struct virtio_gpu_virgl_resource *res;
    VirtIOGPUBlobBuffer buf;
    VirtIOGPUBlobSubject subject;
    VirtIOGPUBlobVerdict verdict;
    int err; /* of the system call that failed */
} MapRequest;

static MemoryRegion *hostmem_of(const VirtIOGPUBlobs *blobs)
{
    return &blobs->g->parent_obj.hostmem;
}

/*
 * The record of a mapping
 */

/* Called when the guest does not see the mapping any more */
static void unrecord(VirtIOGPUBlobMapping *m)
{
    QTAILQ_REMOVE(&m->blobs->mapped, m, next);
    m->blobs->unmaps++;
    trace_virtio_gpu_blob_unmap(m->resource_id, m->place.node.start,
                                virtio_gpu_blob_place_len(&m->place));
}

static void set_stale(VirtIOGPUBlobMapping *m)
{
    m->state = VIRTIO_GPU_BLOB_STALE;
    QTAILQ_INSERT_TAIL(&m->blobs->stale, m, next);
    m->blobs->unmap_failures++;
    if (virtio_gpu_blob_log_open(&m->blobs->log)) {
        virtio_gpu_blob_log_unmap_failed(m);
    }
}

static void detach_from_resource(VirtIOGPUBlobMapping *m)
{
    if (m->res) {
        m->res->blob.mapping = NULL;
        m->res = NULL;
    }
}

static void record(VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobs *blobs = m->blobs;

    QTAILQ_INSERT_HEAD(&blobs->mapped, m, next);
    m->res->blob.mapping = m;
    blobs->maps++;
    blobs->high_water = MAX(blobs->high_water, blobs->maps - blobs->unmaps);
    blobs->last_map_ms = g_get_real_time() / 1000;
    trace_virtio_gpu_blob_map(m->resource_id, m->place.node.start,
                              virtio_gpu_blob_place_len(&m->place),
                              m->map_info,
                              m->region ? "region" : "window");
}

/*
 * Tries again to unmap what could not be unmapped for lack of memory.  The
 * guest was told that it is unmapped, and may use the place again.
 */
static void retry_stale(VirtIOGPUBlobs *blobs)
{
    VirtIOGPUBlobMapping *m, *next;

    QTAILQ_FOREACH_SAFE(m, &blobs->stale, next, next) {
        if (virtio_gpu_blob_window_unmap(blobs->window, m)) {
            QTAILQ_REMOVE(&blobs->stale, m, next);
            g_free(m);
        }
    }
}

/*
 * Map: parse, find (and wait, while the resource is LEAVING), check, ask,
 * decide, place
 */

static VirtIOGPUBlobReason parse(MapRequest *req,
                                 const struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_resource_map_blob mblob;

    if (iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0,
                   &mblob, sizeof(mblob)) != sizeof(mblob)) {
        return VIRTIO_GPU_BLOB_BAD_COMMAND;
    }
    virtio_gpu_map_blob_bswap(&mblob);
    req->subject.resource_id = mblob.resource_id;
    req->subject.offset = mblob.offset;
    if (iov_size(cmd->elem.in_sg, cmd->elem.in_num) <
        sizeof(struct virtio_gpu_resp_map_info)) {
        return VIRTIO_GPU_BLOB_SHORT_REPLY;
    }
    return VIRTIO_GPU_BLOB_OK;
}

static VirtIOGPUBlobReason find_resource(MapRequest *req)
{
    VirtIOGPUBlobSubject *subject = &req->subject;

    req->res = virtio_gpu_virgl_find_resource(req->blobs->g,
                                              subject->resource_id);
    if (!req->res) {
        return VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE;
    }
    req->res->blob.map_asked = true;
    subject->ctx_id = req->res->blob.ctx_id;
    subject->size = req->res->base.blob_size;
    return VIRTIO_GPU_BLOB_OK;
}

static bool is_leaving(const struct virtio_gpu_virgl_resource *res)
{
    return res->blob.mapping &&
           res->blob.mapping->state == VIRTIO_GPU_BLOB_LEAVING;
}

static VirtIOGPUBlobPlace place_of(const MapRequest *req)
{
    return virtio_gpu_blob_place(req->subject.offset,
                                 ROUND_UP(req->subject.size,
                                          qemu_real_host_page_size()));
}

static VirtIOGPUBlobReason check(MapRequest *req)
{
    VirtIOGPUBlobs *blobs = req->blobs;
    VirtIOGPUBlobRequest request = {
        .mappable = req->res->blob.flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
        .mapped = req->res->blob.mapping,
        .size = req->subject.size,
        .offset = req->subject.offset,
        .window_size = blobs->g->parent_obj.conf.hostmem,
        .page_size = qemu_real_host_page_size(),
    };
    VirtIOGPUBlobReason reason = virtio_gpu_blob_check_request(&request);
    VirtIOGPUBlobPlace place, *there;

    if (reason || !blobs->window) {
        return reason;
    }
    retry_stale(blobs);
    place = place_of(req);
    there = virtio_gpu_blob_vma_find(virtio_gpu_blob_window_vma(blobs->window),
                                     place.node.start, place.node.last);
    if (!there) {
        return VIRTIO_GPU_BLOB_OK;
    }
    /* The guest was told that a stale one is unmapped. */
    return there->stale ? VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS
                        : VIRTIO_GPU_BLOB_OVERLAP;
}

static bool read_exporter(MapRequest *req)
{
    return virtio_gpu_blob_buffer_read_exporter(&req->buf,
                                                &req->res->blob.named);
}

static void ask(MapRequest *req)
{
    VirtIOGPUBlobFacts *facts = &req->buf.facts;

    virtio_gpu_blob_buffer_open(&req->buf, &req->blobs->host,
                                req->subject.resource_id, req->subject.size);
    if (!virtio_gpu_blob_needs_exporter_name(facts, req->subject.policy)) {
        return;
    }
    if (!read_exporter(req)) {
        facts->no_fds_left = true;
    }
    facts->exporter = req->buf.exporter;
}

/*
 * Reads the name for messages, even if the decision does not need it.  It does
 * not become a fact then: a verdict must not depend on what is logged.
 */
static void name_exporter(MapRequest *req)
{
    if (!req->buf.exporter) {
        read_exporter(req);
    }
}

static VirtIOGPUBlobReason decide(MapRequest *req)
{
    req->verdict = virtio_gpu_blob_decide(&req->buf.facts,
                                          req->subject.policy);
    if (trace_event_get_state_backends(TRACE_VIRTIO_GPU_BLOB_DECISION)) {
        name_exporter(req);
        virtio_gpu_blob_trace_decision(&req->subject, &req->verdict);
    }
    if (virtio_gpu_blob_is_assumed(&req->verdict) &&
        virtio_gpu_blob_log_open(&req->blobs->log)) {
        virtio_gpu_blob_log_assumed(&req->subject);
    }
    return req->verdict.reason;
}

static VirtIOGPUBlobReason to_reason(MapRequest *req, int ret)
{
    req->err = -ret;
    switch (req->err) {
    case 0:
        return VIRTIO_GPU_BLOB_OK;
    case ENOSPC:
        return VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS;
    case EMFILE:
        return VIRTIO_GPU_BLOB_NO_FILE_DESCRIPTOR;
    default:
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
}

static VirtIOGPUBlobReason place_region(VirtIOGPUBlobMapping *m, void *host)
{
    VirtIOGPUBlobReason reason =
        virtio_gpu_blob_region_map(m, hostmem_of(m->blobs), host);

    if (reason && m->renderer) {
        virgl_renderer_resource_unmap(m->resource_id);
    } else if (reason) {
        munmap(host, virtio_gpu_blob_place_len(&m->place));
    }
    return reason;
}

static VirtIOGPUBlobReason place_fd(MapRequest *req, VirtIOGPUBlobMapping *m)
{
    void *host;
    int ret;

    if (virtio_gpu_blob_buffer_has_huge_pages(&req->buf)) {
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    if (!virtio_gpu_blob_buffer_seal(&req->buf)) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    ret = virtio_gpu_blob_window_map(req->blobs->window, m, req->buf.fd);
    if (ret != -EBUSY) {
        return to_reason(req, ret);
    }
    host = mmap(NULL, virtio_gpu_blob_place_len(&m->place),
                PROT_READ | PROT_WRITE, MAP_SHARED, req->buf.fd, 0);
    return host == MAP_FAILED ? to_reason(req, -errno) : place_region(m, host);
}

static VirtIOGPUBlobReason place_renderer(MapRequest *req,
                                          VirtIOGPUBlobMapping *m)
{
    size_t len = virtio_gpu_blob_place_len(&m->place);
    VirtIOGPUBlobReason reason;
    void *host;
    bool ours;
    int ret;

    reason = virtio_gpu_blob_renderer_map(m->resource_id, req->subject.size,
                                          len, req->blobs->slot_checks, &host,
                                          &ours, &req->err);
    if (reason) {
        return reason;
    }
    if (ours) {
        ret = virtio_gpu_blob_window_move(req->blobs->window, m, host);
        if (!ret) {
            return VIRTIO_GPU_BLOB_OK;
        }
        if (m->place.stale) {
            munmap(host, len);
            return to_reason(req, ret);
        }
    }
    m->renderer = !ours;
    return place_region(m, host);
}

static VirtIOGPUBlobReason place(MapRequest *req)
{
    const VirtIOGPUBlobFacts *facts = &req->buf.facts;
    VirtIOGPUBlobMapping *m = g_new(VirtIOGPUBlobMapping, 1);
    VirtIOGPUBlobReason reason;

    *m = (VirtIOGPUBlobMapping) {
        .blobs = req->blobs,
        .state = VIRTIO_GPU_BLOB_MAPPED,
        .place = place_of(req),
        .pages.file = facts->backing != VIRTIO_GPU_BLOB_BACKING_DMABUF,
        .pages.write_touch = facts->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF &&
                    req->verdict.map_info == VIRTIO_GPU_MAP_CACHE_CACHED,
        .res = req->res,
        .resource_id = req->subject.resource_id,
        .ctx_id = req->subject.ctx_id,
        .backing = facts->backing,
        .answer = facts->answer,
        .renderer_type = facts->renderer,
        .map_info = req->verdict.map_info,
        .voucher = req->verdict.voucher,
    };
    reason = req->buf.fd >= 0 &&
             facts->backing != VIRTIO_GPU_BLOB_BACKING_OPAQUE
             ? place_fd(req, m) : place_renderer(req, m);
    if (!reason) {
        record(m);
    } else if (m->place.stale) {
        m->res = NULL;
        set_stale(m);
    } else {
        g_free(m);
    }
    return reason;
}

static VirtIOGPUBlobReason ask_and_place(MapRequest *req)
{
    VirtIOGPUBlobReason reason;

    ask(req);
    reason = decide(req);
    if (!reason) {
        reason = place(req);
    }
    if (reason && virtio_gpu_blob_log_has_room(&req->blobs->log)) {
        name_exporter(req);
    }
    virtio_gpu_blob_buffer_close(&req->buf);
    return reason;
}

/*
 * A guest that ignores the refusal unmaps the blob later.  If the host could
 * not create the resource, nothing is logged: the refusal is not an error of
 * the guest.
 */
static void refuse_command(MapRequest *req,
                           struct virtio_gpu_ctrl_command *cmd,
                           VirtIOGPUBlobReason reason)
{
    /* If the reply has no space, find_resource() was not called. */
    struct virtio_gpu_virgl_resource *res =
        virtio_gpu_virgl_find_resource(req->blobs->g,
                                       req->subject.resource_id);
    bool follows = false;

    if (res) {
        res->blob.map_refused = !res->blob.mapping || is_leaving(res);
    } else {
        follows = virtio_gpu_virgl_follows_map(req->blobs->g, cmd,
                                               req->subject.resource_id);
    }
    if (reason != VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE || !follows) {
        virtio_gpu_blob_report_refusal(req->blobs, &req->subject, reason);
    }
    cmd->reported = true;
    cmd->error = req->err == ENOMEM ? VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY
                                    : virtio_gpu_blob_reason_error(reason);
}

void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(g)->blobs;
    struct virtio_gpu_resp_map_info resp = {
        .hdr.type = VIRTIO_GPU_SHM_MAP_INFO,
    };
    MapRequest req = {
        .blobs = blobs,
        .subject.policy = VIRTIO_GPU_GL(g)->map_policy,
        .subject.host = &blobs->host,
        .subject.buf = &req.buf,
    };
    VirtIOGPUBlobReason reason = parse(&req, cmd);

    /* For the operator: also if the command is refused */
    virtio_gpu_virgl_prepare(g);
    if (!reason) {
        reason = find_resource(&req);
    }
    if (!reason && is_leaving(req.res)) {
        cmd->suspended = true;
        return;
    }
    if (!reason) {
        reason = check(&req);
    }
    if (!reason) {
        reason = ask_and_place(&req);
    }
    if (reason) {
        refuse_command(&req, cmd, reason);
        return;
    }
    req.res->blob.map_refused = false;
    resp.map_info = cpu_to_le32(req.verdict.map_info);
    virtio_gpu_ctrl_response(g, cmd, &resp.hdr, sizeof(resp));
}

/*
 * Unmap
 */

static void unmap_region(VirtIOGPUBlobMapping *m)
{
    m->state = VIRTIO_GPU_BLOB_LEAVING;
    QTAILQ_INSERT_TAIL(&m->blobs->leaving, m, next);
    if (!m->renderer) {
        detach_from_resource(m);
    }
    virtio_gpu_blob_region_unmap(m, hostmem_of(m->blobs));
}

static void unmap(VirtIOGPUBlobMapping *m)
{
    /* A loss must be reported before its record goes. */
    virtio_gpu_blob_report_lost(m->blobs);
    unrecord(m);
    if (m->region) {
        unmap_region(m);
        return;
    }
    detach_from_resource(m);
    if (virtio_gpu_blob_window_unmap(m->blobs->window, m)) {
        g_free(m);
    } else {
        set_stale(m);
    }
}

void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_resource_unmap_blob ublob;
    struct virtio_gpu_virgl_resource *res;

    if (iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0,
                   &ublob, sizeof(ublob)) != sizeof(ublob)) {
        cmd->error = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        return;
    }
    virtio_gpu_unmap_blob_bswap(&ublob);
    res = virtio_gpu_virgl_find_resource(g, ublob.resource_id);
    if (!res) {
        if (!virtio_gpu_virgl_follows_unmap(g, cmd, ublob.resource_id)) {
            cmd->error = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
        }
        return;
    }
    if (!res->blob.mapping || is_leaving(res)) {
        /* Guests that ignore a refusal unmap what was never mapped. */
        if (!res->blob.map_refused) {
            cmd->error = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        }
        res->blob.map_refused = false;
        return;
    }
    retry_stale(VIRTIO_GPU_GL(g)->blobs);
    unmap(res->blob.mapping);
}

/*
 * The resource's own backing is guest memory.  If that lies in the resource's
 * region, it keeps the region referenced.  So it is detached now, not when the
 * region is freed.
 */
bool virtio_gpu_blob_unmap_resource(struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;

    if (m && m->state == VIRTIO_GPU_BLOB_MAPPED) {
        unmap(m);
    }
    m = res->blob.mapping;
    if (!m) {
        return true;
    }
    virtio_gpu_virgl_detach_backing(m->blobs->g, m->resource_id);
    m->release = true;
    detach_from_resource(m);
    return false;
}

/* All three commands that create a resource begin with its id. */
bool virtio_gpu_blob_must_wait(VirtIOGPU *g,
                               const struct virtio_gpu_ctrl_command *cmd)
{
    VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(g)->blobs;
    struct virtio_gpu_resource_unref create;
    VirtIOGPUBlobMapping *m;

    if (QTAILQ_EMPTY(&blobs->leaving) ||
        (cmd->cmd_hdr.type != VIRTIO_GPU_CMD_RESOURCE_CREATE_2D &&
         cmd->cmd_hdr.type != VIRTIO_GPU_CMD_RESOURCE_CREATE_3D &&
         cmd->cmd_hdr.type != VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB) ||
        iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0, &create,
                   sizeof(create)) != sizeof(create)) {
        return false;
    }
    QTAILQ_FOREACH(m, &blobs->leaving, next) {
        if (m->release && m->resource_id == le32_to_cpu(create.resource_id)) {
            return true;
        }
    }
    return false;
}

/*
 * Regions that are not referenced any more
 */

static void free_unused(void *opaque)
{
    VirtIOGPUBlobMapping *m = opaque;
    VirtIOGPU *g = m->blobs->g;

    virtio_gpu_blob_lost_remove(&m->pages);
    virtio_gpu_blob_region_free(m);
    if (m->renderer) {
        virgl_renderer_force_ctx_0();
        virgl_renderer_resource_unmap(m->resource_id);
    } else {
        munmap((void *)(uintptr_t)m->pages.range.start,
               virtio_gpu_blob_place_len(&m->place));
    }
    if (m->release) {
        virtio_gpu_virgl_release(g, m->resource_id);
    }
    detach_from_resource(m);
    QTAILQ_REMOVE(&m->blobs->leaving, m, next);
    g_free(m);
    /* Commands and the reset of the renderer may wait for this. */
    qemu_bh_schedule(g->ctrl_bh);
}

/* Nested event loops do not run this, nor the device's other bottom halves. */
void virtio_gpu_blob_region_unused(VirtIOGPUBlobMapping *m)
{
    aio_bh_schedule_oneshot(iohandler_get_aio_context(), free_unused, m);
}

bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl)
{
    VirtIOGPUBlobMapping *m;

    QTAILQ_FOREACH(m, &gl->blobs->leaving, next) {
        if (m->renderer) {
            return true;
        }
    }
    return false;
}

/*
 * Buffers that lost their pages
 */

/* The renderer still has the buffer. */
static void read_exporter_of(VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobBuffer buf;

    virtio_gpu_blob_buffer_open(&buf, &m->blobs->host, m->resource_id,
                                virtio_gpu_blob_place_len(&m->place));
    virtio_gpu_blob_buffer_read_exporter(&buf, &m->res->blob.named);
    virtio_gpu_blob_buffer_close(&buf);
}

static void report_loss(VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobs *blobs = m->blobs;

    if (!m->region) {
        virtio_gpu_blob_window_drop_handle(blobs->window, m);
    }
    trace_virtio_gpu_blob_lost(m->resource_id, m->place.node.start,
                               virtio_gpu_blob_place_len(&m->place));
    if (!virtio_gpu_blob_log_open(&blobs->log)) {
        return;
    }
    if (!m->res->blob.named.name) {
        read_exporter_of(m);
    }
    virtio_gpu_blob_log_lost(m);
}

void virtio_gpu_blob_report_lost(VirtIOGPUBlobs *blobs)
{
    VirtIOGPUBlobPages *pages;

    while ((pages = virtio_gpu_blob_lost_next(&blobs->lost))) {
        VirtIOGPUBlobMapping *m = container_of(pages, VirtIOGPUBlobMapping,
                                               pages);

        if (m->state == VIRTIO_GPU_BLOB_MAPPED) {
            report_loss(m);
        }
    }
}

static void report_lost_bh(void *opaque)
{
    virtio_gpu_blob_report_lost(opaque);
}

/*
 * The device
 */

/* After a reset: no mapping is MAPPED; some may be STALE or LEAVING. */
void virtio_gpu_blob_trim(VirtIOGPUGL *gl)
{
    VirtIOGPUBlobs *blobs = gl->blobs;

    if (blobs->window) {
        retry_stale(blobs);
        virtio_gpu_blob_vma_trim(virtio_gpu_blob_window_vma(blobs->window));
    }
}

void virtio_gpu_blob_init(VirtIOGPUBlobs *blobs, VirtIOGPU *g)
{
    blobs->g = g;
    QTAILQ_INIT(&blobs->mapped);
    QTAILQ_INIT(&blobs->stale);
    QTAILQ_INIT(&blobs->leaving);
    virtio_gpu_blob_lost_init(&blobs->lost,
                              virtio_bh_io_new_guarded(DEVICE(g),
                                                       report_lost_bh, blobs));
}

void virtio_gpu_blob_destroy(VirtIOGPUBlobs *blobs)
{
    if (blobs->window) {
        virtio_gpu_blob_window_delete(blobs->window);
    }
    qemu_bh_delete(blobs->lost.bh);
}
