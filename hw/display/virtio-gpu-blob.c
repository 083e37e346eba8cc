/*
 * virtio-gpu blob mappings: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/iov.h"
#include "hw/virtio/virtio-gpu-bswap.h"
#include "hw/virtio/virtio-gpu-map-info.h"
#include "trace.h"
#include "virtio-gpu-blob.h"
#include "virtio-gpu-blob-buffer.h"
#include "virtio-gpu-blob-decision.h"
#include "virtio-gpu-blob-device.h"
#include "virtio-gpu-blob-mapping.h"
#include "virtio-gpu-blob-report.h"

/* A RESOURCE_MAP_BLOB command on its way */
typedef struct MapRequest {
    VirtIOGPU *g;
    VirtIOGPUBlobs *blobs;
    struct virtio_gpu_virgl_resource *res;
    struct virtio_gpu_virgl_resource *old; /* whose place it takes, or NULL */
    VirtIOGPUBlobBuffer buf;
    VirtIOGPUBlobSubject subject;
    VirtIOGPUBlobVerdict verdict;
} MapRequest;

/*
 * Map
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

static VirtIOGPUBlobReason find(MapRequest *req)
{
    VirtIOGPUBlobSubject *subject = &req->subject;

    req->res = virtio_gpu_virgl_find_resource(req->g, subject->resource_id);
    if (!req->res) {
        return VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE;
    }
    subject->ctx_id = req->res->blob.ctx_id;
    subject->size = req->res->base.blob_size;
    return VIRTIO_GPU_BLOB_OK;
}

/* Unmappings that wait come before, unless this takes the place of one. */
static VirtIOGPUBlobReason settle(MapRequest *req)
{
    VirtIOGPUBlobPending *pending = &req->blobs->pending;
    VirtIOGPUBlobPlace place =
        virtio_gpu_blob_mappings_place(&req->blobs->mappings,
                                       req->subject.offset, req->subject.size);

    req->old = virtio_gpu_blob_pending_at(pending, req->res, &place);
    if (req->old) {
        return VIRTIO_GPU_BLOB_OK;
    }
    virtio_gpu_blob_pending_settle(pending);
    return find(req);
}

static VirtIOGPUBlobReason check(MapRequest *req)
{
    VirtIOGPUBlobMappings *mappings = &req->blobs->mappings;
    VirtIOGPUBlobRequest request = {
        .mappable = req->res->blob.flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
        .mapped = req->res->blob.mapping,
        .size = req->subject.size,
        .offset = req->subject.offset,
        .window_size = req->g->parent_obj.conf.hostmem,
        .page_size = mappings->page_size,
    };
    VirtIOGPUBlobReason reason = virtio_gpu_blob_check_request(&request);

    if (!reason && !req->old &&
        virtio_gpu_blob_mappings_are_at(mappings, request.offset,
                                        request.size)) {
        reason = VIRTIO_GPU_BLOB_OVERLAP;
    }
    return reason;
}

static bool is_traced(void)
{
    return trace_event_get_state_backends(TRACE_VIRTIO_GPU_BLOB_DECISION);
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
 * For those who read it: people are told the name even where it did not
 * matter.  It is no fact then, as nothing may depend on who reads.
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
    if (is_traced()) {
        name_exporter(req);
        virtio_gpu_blob_trace_decision(&req->subject, &req->verdict);
    }
    if (virtio_gpu_blob_is_assumed(&req->verdict) &&
        virtio_gpu_blob_log_open(&req->blobs->log)) {
        virtio_gpu_blob_log_assumed(&req->subject);
    }
    return req->verdict.reason;
}

/* If it cannot, what is there goes as at the end of the kick. */
static VirtIOGPUBlobReason replace(MapRequest *req)
{
    VirtIOGPUBlobPending *pending = &req->blobs->pending;

    if (virtio_gpu_blob_mapping_replace(req->old, req->res, &req->buf,
                                        &req->verdict)) {
        virtio_gpu_blob_pending_replaced(pending, req->old);
        return VIRTIO_GPU_BLOB_OK;
    }
    virtio_gpu_blob_pending_settle(pending);
    req->old = NULL;
    return check(req);
}

static VirtIOGPUBlobReason place(MapRequest *req)
{
    if (req->old) {
        VirtIOGPUBlobReason reason = replace(req);

        if (reason || req->res->blob.mapping) {
            return reason;
        }
    }
    return virtio_gpu_blob_mapping_place(&req->blobs->mappings, req->res,
                                         req->subject.offset, &req->buf,
                                         &req->verdict);
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

static VirtIOGPUBlobReason map(MapRequest *req,
                               const struct virtio_gpu_ctrl_command *cmd)
{
    VirtIOGPUBlobReason reason = parse(req, cmd);

    if (!reason) {
        reason = find(req);
    }
    if (!reason) {
        reason = settle(req);
    }
    if (!reason) {
        reason = check(req);
    }
    return reason ? reason : ask_and_place(req);
}

void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(g)->blobs;
    struct virtio_gpu_resp_map_info resp = {
        .hdr.type = VIRTIO_GPU_SHM_MAP_INFO,
    };
    MapRequest req = {
        .g = g,
        .blobs = blobs,
        .subject.policy = VIRTIO_GPU_GL(g)->map_policy,
        .subject.host = &blobs->host,
        .subject.buf = &req.buf,
    };
    VirtIOGPUBlobReason reason = map(&req, cmd);

    if (reason) {
        virtio_gpu_blob_report_refusal(&req.subject, reason, &blobs->refusals,
                                       &blobs->log);
        cmd->error = virtio_gpu_blob_reason_error(reason);
        return;
    }
    resp.map_info = cpu_to_le32(req.verdict.map_info);
    virtio_gpu_ctrl_response(g, cmd, &resp.hdr, sizeof(resp));
}

/*
 * Unmap
 */

/* UNMAP_BLOB and RESOURCE_UNREF look the same */
static struct virtio_gpu_virgl_resource *
resource_of(VirtIOGPU *g, const struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_resource_unmap_blob ublob;

    if (iov_to_buf(cmd->elem.out_sg, cmd->elem.out_num, 0,
                   &ublob, sizeof(ublob)) != sizeof(ublob)) {
        return NULL;
    }
    virtio_gpu_unmap_blob_bswap(&ublob);
    return virtio_gpu_virgl_find_resource(g, ublob.resource_id);
}

static bool hold(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_virgl_resource *res = resource_of(g, cmd);

    cmd->held = res &&
        virtio_gpu_blob_pending_hold(&VIRTIO_GPU_GL(g)->blobs->pending, cmd,
                                     res);
    return cmd->held;
}

/*
 * A guest that gives up a buffer detaches it from its context, unmaps it and
 * lets go of it, and does the same with the next.
 */
bool virtio_gpu_blob_hold(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    switch (cmd->cmd_hdr.type) {
    case VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB:
    case VIRTIO_GPU_CMD_RESOURCE_UNREF:
        if (hold(g, cmd)) {
            return true;
        }
        break;
    case VIRTIO_GPU_CMD_RESOURCE_MAP_BLOB:
    case VIRTIO_GPU_CMD_CTX_DETACH_RESOURCE:
        return false;
    }
    virtio_gpu_blob_pending_settle(&VIRTIO_GPU_GL(g)->blobs->pending);
    return false;
}

uint32_t virtio_gpu_blob_unmap(struct virtio_gpu_virgl_resource *res,
                               bool *suspended)
{
    VirtIOGPUBlobReason reason;

    if (!res->blob.mapping) {
        return 0;
    }
    reason = virtio_gpu_blob_mapping_end(res, suspended);
    return reason ? virtio_gpu_blob_reason_error(reason) : 0;
}

bool virtio_gpu_blob_abandon(struct virtio_gpu_virgl_resource *res)
{
    return !res->blob.mapping || virtio_gpu_blob_mapping_abandon(res);
}

void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd,
                               bool *suspended)
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
        cmd->error = VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID;
        return;
    }
    if (!res->blob.mapping) {
        cmd->error = VIRTIO_GPU_RESP_ERR_INVALID_PARAMETER;
        return;
    }
    cmd->error = virtio_gpu_blob_unmap(res, suspended);
}
