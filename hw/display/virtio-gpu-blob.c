/*
 * virtio-gpu blob mappings: RESOURCE_MAP_BLOB and RESOURCE_UNMAP_BLOB
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "qemu/bitmap.h"
#include "qemu/cutils.h"
#include "qemu/iov.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "hw/virtio/virtio-gpu-blob.h"
#include "hw/virtio/virtio-gpu-bswap.h"
#include "trace.h"
#include "virtio-gpu-blob-facts.h"
#include "virtio-gpu-blob-region.h"
#include "virtio-gpu-blob-report.h"
#include "virtio-gpu-blob-window.h"

#include <virglrenderer.h>

/*
 * Each region costs two sections of a flat view, of which the memory core
 * can have 4096 in all (physmem.c, phys_section_add()), and a map's cost
 * grows with the regions that are there.  With 256 the first limit is far,
 * and a map takes less than a millisecond.
 */
#define REGIONS_MAX 256

struct VirtIOGPUBlobs {
    VirtIOGPU *g;
    VirtIOGPUBlobVM vm;
    VirtIOGPUBlobWindow *window;
    uint64_t page_size;

    unsigned long *occupied; /* a bit for each page of the window */
    VirtIOGPUBlobMappings live;
    VirtIOGPUBlobMappings leaving;
    unsigned regions; /* live and leaving */
    QEMUBH *gone_bh;

    VirtIOGPUBlobStats stats;
    VirtIOGPUBlobLog log;
};

/* Memory that we mapped for a region of its own */
typedef struct OwnMemory {
    void *host;
    size_t len;
} OwnMemory;

/* A RESOURCE_MAP_BLOB command on its way */
typedef struct MapRequest {
    VirtIOGPU *g;
    VirtIOGPUBlobs *blobs;
    struct virtio_gpu_virgl_resource *res;
    VirtIOGPUBlobBuffer buf;
    VirtIOGPUBlobSubject subject;
    VirtIOGPUBlobVerdict verdict;
} MapRequest;

static VirtIOGPUBlobs *blobs_of(const VirtIOGPU *g)
{
    return VIRTIO_GPU_GL(g)->blobs;
}

static uint64_t mapped_length(const VirtIOGPUBlobs *blobs,
                              const struct virtio_gpu_virgl_resource *res)
{
    return ROUND_UP(res->base.blob_size, blobs->page_size);
}

/*
 * Keeping account
 */

static bool is_occupied(const VirtIOGPUBlobs *blobs, uint64_t offset,
                        uint64_t len)
{
    uint64_t end = (offset + len) / blobs->page_size;

    /* In a confidential guest nothing is ever mapped. */
    return blobs->occupied && find_next_bit(blobs->occupied, end,
                                            offset / blobs->page_size) < end;
}

static void remember(MapRequest *req, VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobs *blobs = req->blobs;
    VirtIOGPUBlobStats *stats = &blobs->stats;
    const VirtIOGPUBlobFacts *facts = &req->buf.facts;

    m->g = req->g;
    m->resource_id = req->subject.resource_id;
    m->ctx_id = req->subject.ctx_id;
    m->backing = facts->backing;
    m->answer = facts->answer;
    m->renderer = facts->renderer;
    m->verdict = req->verdict;
    pstrcpy(m->exporter, sizeof(m->exporter),
            facts->exporter ? facts->exporter : "");
    req->res->blob.mapping = m;
    bitmap_set(blobs->occupied, m->offset / blobs->page_size,
               m->len / blobs->page_size);
    QTAILQ_INSERT_HEAD(&blobs->live, m, next);

    stats->maps++;
    stats->live++;
    stats->high_water = MAX(stats->high_water, stats->live);
    stats->last_map_ms = g_get_real_time() / 1000;
    trace_virtio_gpu_blob_map(m->resource_id, m->offset, m->len,
                              m->verdict.map_info,
                              m->region ? "region" : "window");
}

/* The guest does not see the mapping any more. */
static void retire(VirtIOGPUBlobs *blobs, VirtIOGPUBlobMapping *m)
{
    bitmap_clear(blobs->occupied, m->offset / blobs->page_size,
                 m->len / blobs->page_size);
    QTAILQ_REMOVE(&blobs->live, m, next);
    blobs->stats.unmaps++;
    blobs->stats.live--;
    trace_virtio_gpu_blob_unmap(m->resource_id, m->offset, m->len);
}

static void report_refusal(VirtIOGPUBlobs *blobs,
                           const VirtIOGPUBlobSubject *subject,
                           VirtIOGPUBlobReason reason)
{
    virtio_gpu_blob_trace_refusal(subject, reason);
    blobs->stats.refused[reason]++;
    blobs->stats.last_refusal_ms = g_get_real_time() / 1000;
    if (virtio_gpu_blob_log_open(&blobs->log)) {
        virtio_gpu_blob_log_refusal(subject, reason);
    }
}

/*
 * Regions of their own
 */

static void own_memory_gone(void *opaque)
{
    OwnMemory *own = opaque;

    munmap(own->host, own->len);
    g_free(own);
}

static void renderers_memory_gone(void *opaque)
{
    VirtIOGPUBlobMapping *m = opaque;

    m->unreferenced = true;
    qemu_bh_schedule(blobs_of(m->g)->gone_bh);
}

static VirtIOGPUBlobReason region_room(const VirtIOGPUBlobs *blobs)
{
    if (blobs->regions >= REGIONS_MAX) {
        return VIRTIO_GPU_BLOB_REGION_LIMIT;
    }
    /* GCOVR_EXCL_BR_START: needs KVM or vhost */
    return virtio_gpu_blob_region_room(blobs->regions)
           ? VIRTIO_GPU_BLOB_OK : VIRTIO_GPU_BLOB_NO_MEMORY_SLOT;
    /* GCOVR_EXCL_BR_STOP */
}

static VirtIOGPUBlobReason reason_of_errno(int err)
{
    return err == ENOMEM ? VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS
                         : VIRTIO_GPU_BLOB_MAP_FAILED;
}

static VirtIOGPUBlobReason place_fd_in_region(MapRequest *req,
                                              VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobReason reason = region_room(req->blobs);
    OwnMemory *own;
    void *host;

    if (reason) {
        return reason;
    }
    host = mmap(NULL, m->len, PROT_READ | PROT_WRITE, MAP_SHARED,
                req->buf.fd, 0);
    if (host == MAP_FAILED) {
        /* GCOVR_EXCL_BR_START: inlined; counted where it is defined */
        return reason_of_errno(errno);
        /* GCOVR_EXCL_BR_STOP */
    }
    own = g_new0(OwnMemory, 1);
    own->host = host;
    own->len = m->len;
    req->blobs->regions++;
    m->region = virtio_gpu_blob_region_new(&req->g->parent_obj.hostmem,
                                           m->offset, host, m->len,
                                           own_memory_gone, own);
    return VIRTIO_GPU_BLOB_OK;
}

static VirtIOGPUBlobReason place_fd(MapRequest *req, VirtIOGPUBlobMapping *m)
{
    int ret = virtio_gpu_blob_window_map(req->blobs->window, req->buf.fd,
                                         m->offset, m->len);

    if (ret == -EBUSY) {
        return place_fd_in_region(req, m);
    }
    return ret ? reason_of_errno(-ret) : VIRTIO_GPU_BLOB_OK;
}

/* More than the blob's pages would show the guest the host's other data. */
static VirtIOGPUBlobReason check_pointer(const MapRequest *req, void *host,
                                         uint64_t size, uint64_t len)
{
    if (size < req->subject.size) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    if (!host || !QEMU_PTR_IS_ALIGNED(host, req->blobs->page_size) ||
        size < len) {
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    return VIRTIO_GPU_BLOB_OK;
}

static VirtIOGPUBlobReason place_pointer(MapRequest *req,
                                         VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobReason reason = region_room(req->blobs);
    uint64_t size;
    void *host;
    int ret;

    if (reason) {
        return reason;
    }
    ret = virgl_renderer_resource_map(req->subject.resource_id, &host, &size);
    if (ret) {
        return reason_of_errno(-ret);
    }
    reason = check_pointer(req, host, size, m->len);
    if (reason) {
        virgl_renderer_resource_unmap(req->subject.resource_id);
        return reason;
    }
    req->blobs->regions++;
    m->renderers = true;
    m->region = virtio_gpu_blob_region_new(&req->g->parent_obj.hostmem,
                                           m->offset, host, m->len,
                                           renderers_memory_gone, m);
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Map
 */

static VirtIOGPUBlobReason check_request(const MapRequest *req)
{
    const struct virtio_gpu_virgl_resource *res = req->res;
    VirtIOGPUBlobRequest request = {
        .mappable = res->blob.flags & VIRTIO_GPU_BLOB_FLAG_USE_MAPPABLE,
        .mapped = res->blob.mapping,
        .size = res->base.blob_size,
        .offset = req->subject.offset,
        .window_size = req->g->parent_obj.conf.hostmem,
        .page_size = req->blobs->page_size,
    };
    VirtIOGPUBlobReason reason = virtio_gpu_blob_check_request(&request);

    if (!reason && is_occupied(req->blobs, request.offset,
                               mapped_length(req->blobs, res))) {
        reason = VIRTIO_GPU_BLOB_OVERLAP;
    }
    return reason;
}

static bool is_traced(void)
{
    /* GCOVR_EXCL_BR_START: the macro's own */
    return trace_event_get_state_backends(TRACE_VIRTIO_GPU_BLOB_DECISION);
    /* GCOVR_EXCL_BR_STOP */
}

static void decide(MapRequest *req)
{
    VirtIOGPUBlobFacts *facts = &req->buf.facts;
    VirtIOGPUMapPolicy policy = req->subject.policy;

    virtio_gpu_blob_buffer_open(&req->buf, &req->blobs->vm,
                                req->subject.resource_id, req->subject.size);
    if (is_traced() || virtio_gpu_blob_wants_exporter(facts, policy)) {
        virtio_gpu_blob_buffer_read_exporter(&req->buf);
    }
    req->verdict = virtio_gpu_blob_decide(facts, policy);
    virtio_gpu_blob_trace_decision(&req->subject, &req->verdict);
}

/* A log line names the exporter even where it did not matter. */
static void prepare_log(MapRequest *req)
{
    if (!req->verdict.voucher && !req->buf.facts.exporter &&
        virtio_gpu_blob_log_has_room(&req->blobs->log)) {
        virtio_gpu_blob_buffer_read_exporter(&req->buf);
    }
}

static void log_assumed(MapRequest *req)
{
    if (virtio_gpu_blob_is_assumed(&req->verdict) &&
        virtio_gpu_blob_log_open(&req->blobs->log)) {
        virtio_gpu_blob_log_assumed(&req->subject);
    }
}

static VirtIOGPUBlobReason place(MapRequest *req)
{
    g_autofree VirtIOGPUBlobMapping *m = g_new0(VirtIOGPUBlobMapping, 1);
    VirtIOGPUBlobReason reason;

    m->offset = req->subject.offset;
    m->len = mapped_length(req->blobs, req->res);
    switch (req->buf.facts.backing) {
    case VIRTIO_GPU_BLOB_BACKING_DMABUF:
    case VIRTIO_GPU_BLOB_BACKING_SHM:
        reason = place_fd(req, m);
        break;
    default:
        reason = place_pointer(req, m);
        break;
    }
    if (!reason) {
        remember(req, g_steal_pointer(&m));
    }
    return reason;
}

static VirtIOGPUBlobReason map_buffer(MapRequest *req)
{
    VirtIOGPUBlobReason reason;

    decide(req);
    prepare_log(req);
    log_assumed(req);
    reason = req->verdict.map_info ? place(req) : req->verdict.reason;
    virtio_gpu_blob_buffer_close(&req->buf);
    return reason;
}

static VirtIOGPUBlobReason map_resource(MapRequest *req)
{
    VirtIOGPUBlobReason reason;

    req->res = virtio_gpu_virgl_find_resource(req->g,
                                              req->subject.resource_id);
    if (!req->res) {
        return VIRTIO_GPU_BLOB_UNKNOWN_RESOURCE;
    }
    req->subject.ctx_id = req->res->blob.ctx_id;
    req->subject.size = req->res->base.blob_size;
    reason = check_request(req);
    return reason ? reason : map_buffer(req);
}

static VirtIOGPUBlobReason map_command(MapRequest *req,
                                       struct virtio_gpu_ctrl_command *cmd)
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
    return map_resource(req);
}

void virtio_gpu_blob_cmd_map(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    struct virtio_gpu_resp_map_info resp = {
        .hdr.type = VIRTIO_GPU_SHM_MAP_INFO,
    };
    MapRequest req = {
        .g = g,
        .blobs = blobs_of(g),
        .subject.policy = VIRTIO_GPU_GL(g)->map_policy,
        .subject.facts = &req.buf.facts,
    };
    VirtIOGPUBlobReason reason = map_command(&req, cmd);

    if (reason) {
        report_refusal(req.blobs, &req.subject, reason);
        cmd->error = virtio_gpu_blob_reason_error(reason);
        return;
    }
    resp.map_info = cpu_to_le32(req.verdict.map_info);
    virtio_gpu_ctrl_response(g, cmd, &resp.hdr, sizeof(resp));
}

/*
 * Unmap
 */

/* Nobody sees the buffer any more: neither the guest nor those who do DMA */
static void end_mapping(struct virtio_gpu_virgl_resource *res)
{
    if (res->blob.mapping->renderers) {
        virgl_renderer_resource_unmap(res->base.resource_id);
    }
    g_free(res->blob.mapping);
    res->blob.mapping = NULL;
}

/* Hide a region; the renderer's memory must wait for those who still look. */
static void leave_region(VirtIOGPUBlobs *blobs, VirtIOGPUBlobMapping *m)
{
    retire(blobs, m);
    if (m->renderers) {
        m->state = BLOB_LEAVING;
        QTAILQ_INSERT_TAIL(&blobs->leaving, m, next);
        blobs->g->parent_obj.renderer_blocked++;
    } else {
        m->state = BLOB_GONE;
        blobs->regions--;
    }
    virtio_gpu_blob_region_delete(m->region);
}

VirtIOGPUBlobReason
virtio_gpu_blob_unmap(VirtIOGPU *g, struct virtio_gpu_virgl_resource *res,
                      bool *suspended)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;
    VirtIOGPUBlobs *blobs = blobs_of(g);

    if (!m) {
        return VIRTIO_GPU_BLOB_OK;
    }
    if (!m->region) {
        if (!virtio_gpu_blob_window_unmap(blobs->window, m->offset, m->len)) {
            return VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS;
        }
        retire(blobs, m);
    } else if (m->state == BLOB_SHOWN) {
        leave_region(blobs, m);
    }
    *suspended = m->state == BLOB_LEAVING;
    if (!*suspended) {
        end_mapping(res);
    }
    return VIRTIO_GPU_BLOB_OK;
}

bool virtio_gpu_blob_abandon(VirtIOGPU *g,
                             struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;
    VirtIOGPUBlobs *blobs = blobs_of(g);

    if (!m) {
        return true;
    }
    if (!m->region) {
        virtio_gpu_blob_window_drop(blobs->window, m->offset, m->len);
        retire(blobs, m);
    } else if (m->state == BLOB_SHOWN) {
        leave_region(blobs, m);
    }
    if (m->state == BLOB_LEAVING) {
        m->orphan = true;
        res->blob.mapping = NULL;
        return false;
    }
    end_mapping(res);
    return true;
}

/* Nobody looks at the memory of some regions any more. */
static void gone_bh(void *opaque)
{
    VirtIOGPUBlobs *blobs = opaque;
    VirtIOGPU *g = blobs->g;
    VirtIOGPUBlobMapping *m, *tmp;

    QTAILQ_FOREACH_SAFE(m, &blobs->leaving, next, tmp) {
        if (!m->unreferenced) {
            continue;
        }
        m->state = BLOB_GONE;
        QTAILQ_REMOVE(&blobs->leaving, m, next);
        blobs->regions--;
        g->parent_obj.renderer_blocked--;
        if (m->orphan) {
            virgl_renderer_force_ctx_0();
            virgl_renderer_resource_unmap(m->resource_id);
            virtio_gpu_virgl_release(g, m->resource_id);
            g_free(m);
        }
    }
    VIRTIO_GPU_GET_CLASS(g)->handle_ctrl(VIRTIO_DEVICE(g), g->ctrl_vq);
}

void virtio_gpu_blob_cmd_unmap(VirtIOGPU *g,
                               struct virtio_gpu_ctrl_command *cmd,
                               bool *suspended)
{
    struct virtio_gpu_resource_unmap_blob ublob;
    struct virtio_gpu_virgl_resource *res;
    VirtIOGPUBlobReason reason;

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
    reason = virtio_gpu_blob_unmap(g, res, suspended);
    if (reason) {
        cmd->error = virtio_gpu_blob_reason_error(reason);
    }
}

/*
 * Life
 */

bool virtio_gpu_blob_draining(const VirtIOGPUGL *gl)
{
    return !QTAILQ_EMPTY(&gl->blobs->leaving);
}

void virtio_gpu_blob_trim(VirtIOGPU *g)
{
    VirtIOGPUBlobs *blobs = blobs_of(g);

    if (blobs->window) {
        virtio_gpu_blob_window_trim(blobs->window);
    }
}

static void get_maps(Object *obj, Visitor *v, const char *name,
                     void *opaque, Error **errp)
{
    const VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(obj)->blobs;
    VirtIOGPUBlobMappings none = QTAILQ_HEAD_INITIALIZER(none);
    QObject *list;

    /* GCOVR_EXCL_BR_START: nobody can ask before realize; QObject's macros */
    list = QOBJECT(virtio_gpu_blob_list_maps(blobs ? &blobs->live : &none));
    visit_type_any(v, name, &list, errp);
    qobject_unref(list);
    /* GCOVR_EXCL_BR_STOP */
}

static void get_stats(Object *obj, Visitor *v, const char *name,
                      void *opaque, Error **errp)
{
    const VirtIOGPUBlobs *blobs = VIRTIO_GPU_GL(obj)->blobs;
    VirtIOGPUBlobStats none = { };
    QObject *dict;

    /* GCOVR_EXCL_BR_START: nobody can ask before realize; QObject's macros */
    dict = QOBJECT(virtio_gpu_blob_list_stats(blobs ? &blobs->stats : &none));
    visit_type_any(v, name, &dict, errp);
    qobject_unref(dict);
    /* GCOVR_EXCL_BR_STOP */
}

void virtio_gpu_blob_class_init(ObjectClass *oc)
{
    object_class_property_add(oc, "blob-maps", "list", get_maps,
                              NULL, NULL, NULL);
    object_class_property_set_description(oc, "blob-maps",
        "mapped blobs: which buffer, where, how, on whose word");
    object_class_property_add(oc, "blob-map-stats", "struct", get_stats,
                              NULL, NULL, NULL);
    object_class_property_set_description(oc, "blob-map-stats",
        "blobs mapped, unmapped and refused, by reason");
}

static bool open_window(VirtIOGPUBlobs *blobs, Error **errp)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(blobs->g);

    if (!virtio_gpu_blob_enabled(b->conf) ||
        !virtio_gpu_hostmem_enabled(b->conf)) {
        return true;
    }
    if (memory_region_size(&b->hostmem) != b->conf.hostmem) {
        error_setg(errp, "hostmem needs a PCI device such as "
                   "virtio-gpu-gl-pci or virtio-vga-gl");
        return false;
    }
    virtio_gpu_blob_vm_init(&blobs->vm);
    if (blobs->vm.confidential_guest) {
        return true;
    }
    blobs->window = virtio_gpu_blob_window_new(OBJECT(b), &b->hostmem,
                                               b->conf.hostmem, errp);
    if (!blobs->window) {
        return false;
    }
    /* Only now is it known to be of a size that a bitmap can be had for. */
    blobs->occupied = bitmap_new(b->conf.hostmem / blobs->page_size);
    return true;
}

bool virtio_gpu_blob_realize(VirtIOGPUGL *gl, Error **errp)
{
    VirtIOGPUBlobs *blobs = g_new0(VirtIOGPUBlobs, 1);

    blobs->g = VIRTIO_GPU(gl);
    blobs->page_size = qemu_real_host_page_size();
    QTAILQ_INIT(&blobs->live);
    QTAILQ_INIT(&blobs->leaving);
    if (!open_window(blobs, errp)) {
        g_free(blobs);
        return false;
    }
    blobs->gone_bh = virtio_bh_io_new_guarded(DEVICE(gl), gone_bh, blobs);
    gl->resources = g_hash_table_new(NULL, NULL);
    gl->blobs = blobs;
    return true;
}

void virtio_gpu_blob_unrealize(VirtIOGPUGL *gl)
{
    VirtIOGPUBlobs *blobs = gl->blobs;

    if (blobs->window) {
        virtio_gpu_blob_window_delete(blobs->window);
    }
    qemu_bh_delete(blobs->gone_bh);
    g_free(blobs->occupied);
    g_free(blobs);
    gl->blobs = NULL;
    g_hash_table_unref(gl->resources);
    gl->resources = NULL;
}
