/*
 * virtio-gpu blob mappings: a mapping, from placed to gone
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "hw/virtio/virtio.h"
#include "hw/virtio/virtio-gpu-map-info.h"
#include "system/kvm.h"
#include "trace.h"
#include "virtio-gpu-blob-fixed.h"
#include "virtio-gpu-blob-mapping.h"

/*
 * Place
 */

VirtIOGPUBlobPlace
virtio_gpu_blob_mappings_place(const VirtIOGPUBlobMappings *mappings,
                               uint64_t offset, uint64_t size)
{
    return virtio_gpu_blob_place(offset, ROUND_UP(size, mappings->page_size));
}

static gint by_offset(gconstpointer a, gconstpointer b)
{
    const VirtIOGPUBlobPlace *const *p = a, *const *q = b;

    return virtio_gpu_blob_place_offset(*p) < virtio_gpu_blob_place_offset(*q)
           ? -1 : 1;
}

bool virtio_gpu_blob_mappings_are_at(VirtIOGPUBlobMappings *mappings,
                                     uint64_t offset, uint64_t size)
{
    VirtIOGPUBlobPlace place = virtio_gpu_blob_mappings_place(mappings, offset,
                                                              size);

    return mappings->window &&
           (virtio_gpu_blob_window_is_taken(mappings->window, &place) ||
            virtio_gpu_blob_regions_are_at(&mappings->regions, &place));
}

static VirtIOGPUBlobReason place_fd(VirtIOGPUBlobMapping *m,
                                    const VirtIOGPUBlobBuffer *buf)
{
    VirtIOGPUBlobMappings *mappings = m->mappings;
    bool shm = buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_SHM;
    int ret;

    if (!virtio_gpu_blob_buffer_seal(buf)) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    ret = virtio_gpu_blob_window_map(mappings->window, buf->fd, shm,
                                     &m->place);
    if (ret == -EBUSY) {
        return virtio_gpu_blob_region_show_fd(&mappings->regions, buf->fd,
                                              &m->place, &m->region);
    }
    return ret ? virtio_gpu_blob_reason_of_errno(-ret) : VIRTIO_GPU_BLOB_OK;
}

/*
 * A buffer of which there is no fd cannot come back where it had to step
 * aside: only the main loop may ask the renderer for it.
 */
static bool place_fixed(VirtIOGPUBlobMapping *m, uint32_t resource_id)
{
    void *apart;

    if (kvm_enabled() && m->mappings->regions.slots_look) {
        return false;
    }
    apart = virtio_gpu_blob_fixed_map(resource_id,
                                      virtio_gpu_blob_place_len(&m->place));
    return apart && virtio_gpu_blob_window_move_in(m->mappings->window, apart,
                                                   &m->place);
}

static VirtIOGPUBlobReason
place_buffer(VirtIOGPUBlobMapping *m, const VirtIOGPUBlobBuffer *buf,
             const struct virtio_gpu_virgl_resource *res)
{
    switch (buf->facts.backing) {
    case VIRTIO_GPU_BLOB_BACKING_DMABUF:
    case VIRTIO_GPU_BLOB_BACKING_SHM:
        return place_fd(m, buf);
    default:
        if (place_fixed(m, res->base.resource_id)) {
            return VIRTIO_GPU_BLOB_OK;
        }
        return virtio_gpu_blob_region_show_loan(&m->mappings->regions,
                                                res->base.resource_id,
                                                res->base.blob_size,
                                                &m->place, m, &m->region);
    }
}

/* What the operator can ask of a mapping */
static void describe(VirtIOGPUBlobMapping *m,
                     const struct virtio_gpu_virgl_resource *res,
                     const VirtIOGPUBlobFacts *facts,
                     const VirtIOGPUBlobVerdict *verdict)
{
    m->resource_id = res->base.resource_id;
    m->ctx_id = res->blob.ctx_id;
    m->backing = facts->backing;
    m->answer = facts->answer;
    m->renderer = facts->renderer;
    m->verdict = *verdict;
    m->exporter = facts->exporter;
}

static void record(VirtIOGPUBlobMapping *m)
{
    VirtIOGPUBlobMappings *mappings = m->mappings;
    uint64_t live;

    QTAILQ_INSERT_HEAD(&mappings->shown, m, next);
    mappings->maps++;
    live = virtio_gpu_blob_mappings_live(mappings);
    mappings->high_water = MAX(mappings->high_water, live);
    mappings->last_map_ms = g_get_real_time() / 1000;
    trace_virtio_gpu_blob_map(m->resource_id,
                              virtio_gpu_blob_place_offset(&m->place),
                              virtio_gpu_blob_place_len(&m->place),
                              m->verdict.map_info,
                              m->region ? "region" : "window");
}

VirtIOGPUBlobReason
virtio_gpu_blob_mapping_place(VirtIOGPUBlobMappings *mappings,
                              struct virtio_gpu_virgl_resource *res,
                              uint64_t offset, const VirtIOGPUBlobBuffer *buf,
                              const VirtIOGPUBlobVerdict *verdict)
{
    g_autofree VirtIOGPUBlobMapping *m = g_new0(VirtIOGPUBlobMapping, 1);
    VirtIOGPUBlobReason reason;

    m->mappings = mappings;
    m->place = virtio_gpu_blob_mappings_place(mappings, offset,
                                              res->base.blob_size);
    reason = place_buffer(m, buf, res);
    if (reason) {
        return reason;
    }
    describe(m, res, &buf->facts, verdict);
    record(m);
    res->blob.mapping = g_steal_pointer(&m);
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Lose
 */

static VirtIOGPUBlobMapping *mapping_of(VirtIOGPUBlobPlace *place)
{
    return container_of(place, VirtIOGPUBlobMapping, place);
}

static void lost(VirtIOGPUBlobMapping *m)
{
    if (!m->region) {
        virtio_gpu_blob_window_lost(m->mappings->window, &m->place);
    }
    trace_virtio_gpu_blob_lost(m->resource_id,
                               virtio_gpu_blob_place_offset(&m->place),
                               virtio_gpu_blob_place_len(&m->place));
    m->mappings->lost(m);
}

static void tell_losses(void *opaque)
{
    VirtIOGPUBlobMappings *mappings = opaque;
    VirtIOGPUBlobPlace *place;

    while ((place = virtio_gpu_blob_losses_take(&mappings->losses))) {
        lost(mapping_of(place));
    }
}

/* In a signal handler */
static void on_loss(void *opaque)
{
    qemu_bh_schedule(opaque);
}

static bool cover(void *opaque, void *at, uint64_t len)
{
    const VirtIOGPUBlobMappings *mappings = opaque;

    return virtio_gpu_blob_window_cover(mappings->window, at, len);
}

/* Of what is not cached, not every host lets atomic operations through. */
static void touch(VirtIOGPUBlobMapping *m)
{
    bool write = m->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF &&
                 m->verdict.map_info == VIRTIO_GPU_MAP_CACHE_CACHED;

    if (m->region) {
        virtio_gpu_blob_region_touch(m->region);
    } else {
        virtio_gpu_blob_window_touch(m->mappings->window, &m->place, write);
    }
}

static void look(VirtIOGPUBlobMapping *m)
{
    if (m->region) {
        virtio_gpu_blob_region_look(m->region);
    } else {
        virtio_gpu_blob_window_look(m->mappings->window, &m->place);
    }
}

void virtio_gpu_blob_mappings_look(VirtIOGPUBlobMappings *mappings, unsigned n)
{
    VirtIOGPUBlobMapping *m = mappings->next_look;

    for (m = m ?: QTAILQ_FIRST(&mappings->shown); m && n; n--) {
        look(m);
        m = QTAILQ_NEXT(m, next);
    }
    mappings->next_look = m;
}

bool virtio_gpu_blob_mappings_touch(VirtIOGPUBlobMappings *mappings)
{
    uint64_t before = qatomic_read(&mappings->losses.count);
    VirtIOGPUBlobMapping *m;

    QTAILQ_FOREACH(m, &mappings->shown, next) {
        touch(m);
    }
    return qatomic_read(&mappings->losses.count) != before;
}

/*
 * End
 */

/* The guest does not see the mapping any more. */
static void unrecord(VirtIOGPUBlobMapping *m)
{
    if (m->mappings->next_look == m) {
        m->mappings->next_look = QTAILQ_NEXT(m, next);
    }
    QTAILQ_REMOVE(&m->mappings->shown, m, next);
    m->mappings->unmaps++;
    trace_virtio_gpu_blob_unmap(m->resource_id,
                                virtio_gpu_blob_place_offset(&m->place),
                                virtio_gpu_blob_place_len(&m->place));
}

/* The renderer does nothing that could touch the memory it has lent. */
static void await_return(VirtIOGPUBlobMapping *m)
{
    m->state = VIRTIO_GPU_BLOB_LEAVING;
    m->mappings->g->parent_obj.renderer_blocked++;
}

/* From SHOWN to LEAVING, or ready to be gone; false if it is still shown */
static bool hide(VirtIOGPUBlobMapping *m, bool final)
{
    if (!m->region) {
        if (!virtio_gpu_blob_window_unmap(m->mappings->window, &m->place,
                                          final)) {
            return false;
        }
        unrecord(m);
        return true;
    }
    unrecord(m);
    if (!virtio_gpu_blob_region_hide(m->region, &m->place)) {
        await_return(m);
    }
    return true;
}

static void gone(struct virtio_gpu_virgl_resource *res)
{
    g_free(res->blob.mapping);
    res->blob.mapping = NULL;
}

VirtIOGPUBlobReason
virtio_gpu_blob_mapping_end(struct virtio_gpu_virgl_resource *res,
                            bool *suspended)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;

    tell_losses(m->mappings);
    if (m->state == VIRTIO_GPU_BLOB_SHOWN && !hide(m, false)) {
        return VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS;
    }
    *suspended = m->state == VIRTIO_GPU_BLOB_LEAVING;
    if (!*suspended) {
        gone(res);
    }
    return VIRTIO_GPU_BLOB_OK;
}

bool virtio_gpu_blob_mapping_abandon(struct virtio_gpu_virgl_resource *res)
{
    VirtIOGPUBlobMapping *m = res->blob.mapping;

    tell_losses(m->mappings);
    if (m->state == VIRTIO_GPU_BLOB_SHOWN) {
        hide(m, true);
    }
    if (m->state == VIRTIO_GPU_BLOB_LEAVING) {
        /* A backing that lies in the region would keep it for ever. */
        virtio_gpu_virgl_detach_backing(VIRTIO_GPU(m->mappings->g),
                                        m->resource_id);
        m->state = VIRTIO_GPU_BLOB_ORPHANED;
        res->blob.mapping = NULL;
        return false;
    }
    gone(res);
    return true;
}

/* The renderer has its memory back. */
static void returned(void *opaque)
{
    VirtIOGPUBlobMapping *m = opaque;
    VirtIOGPU *g = m->mappings->g;

    g->parent_obj.renderer_blocked--;
    if (m->state == VIRTIO_GPU_BLOB_ORPHANED) {
        virtio_gpu_virgl_release(g, m->resource_id);
        g_free(m);
    } else {
        m->state = VIRTIO_GPU_BLOB_RETURNED;
    }
    VIRTIO_GPU_GET_CLASS(g)->handle_ctrl(VIRTIO_DEVICE(g), g->ctrl_vq);
}

/*
 * End with others
 */

bool virtio_gpu_blob_mapping_wait(VirtIOGPUBlobMapping *m)
{
    if (m->state != VIRTIO_GPU_BLOB_SHOWN || m->region) {
        return false;
    }
    m->state = VIRTIO_GPU_BLOB_ENDING;
    return true;
}

static void end_now(VirtIOGPUBlobMapping *m)
{
    unrecord(m);
    gone(virtio_gpu_virgl_find_resource(VIRTIO_GPU(m->mappings->g),
                                        m->resource_id));
}

static void end_one(VirtIOGPUBlobMapping *m)
{
    if (virtio_gpu_blob_window_unmap(m->mappings->window, &m->place, false)) {
        end_now(m);
    } else {
        m->state = VIRTIO_GPU_BLOB_SHOWN;
    }
}

/* If they cannot go as one, then one by one */
static void end_run(VirtIOGPUBlobWindow *w, VirtIOGPUBlobPlace **places,
                    unsigned n)
{
    bool all = n > 1 && virtio_gpu_blob_window_unmap_run(w, places, n);
    unsigned i;

    for (i = 0; i < n; i++) {
        if (all) {
            end_now(mapping_of(places[i]));
        } else {
            end_one(mapping_of(places[i]));
        }
    }
}

void virtio_gpu_blob_mappings_end_all(VirtIOGPUBlobMappings *mappings,
                                      VirtIOGPUBlobPlace **places, unsigned n)
{
    unsigned i, run;

    tell_losses(mappings);
    qsort(places, n, sizeof(*places), by_offset);
    for (i = 0; i < n; i += run) {
        run = virtio_gpu_blob_window_run(mappings->window, places + i, n - i);
        end_run(mappings->window, places + i, run);
    }
}

/*
 * Replace
 */

static bool replace_fd(VirtIOGPUBlobMapping *old, VirtIOGPUBlobMapping *m,
                       const VirtIOGPUBlobBuffer *buf)
{
    switch (buf->facts.backing) {
    case VIRTIO_GPU_BLOB_BACKING_DMABUF:
    case VIRTIO_GPU_BLOB_BACKING_SHM:
        return virtio_gpu_blob_buffer_seal(buf) &&
               virtio_gpu_blob_window_replace(
            m->mappings->window, buf->fd,
            buf->facts.backing == VIRTIO_GPU_BLOB_BACKING_SHM,
            &old->place, &m->place);
    default:
        return false;
    }
}

bool virtio_gpu_blob_mapping_replace(struct virtio_gpu_virgl_resource *old,
                                     struct virtio_gpu_virgl_resource *res,
                                     const VirtIOGPUBlobBuffer *buf,
                                     const VirtIOGPUBlobVerdict *verdict)
{
    VirtIOGPUBlobMappings *mappings = old->blob.mapping->mappings;
    g_autofree VirtIOGPUBlobMapping *m = g_new0(VirtIOGPUBlobMapping, 1);

    tell_losses(mappings);
    m->mappings = mappings;
    m->place = virtio_gpu_blob_place(
        virtio_gpu_blob_place_offset(&old->blob.mapping->place),
        virtio_gpu_blob_place_len(&old->blob.mapping->place));
    if (!replace_fd(old->blob.mapping, m, buf)) {
        return false;
    }
    unrecord(old->blob.mapping);
    gone(old);
    describe(m, res, &buf->facts, verdict);
    record(m);
    res->blob.mapping = g_steal_pointer(&m);
    return true;
}

/*
 * All of them
 */

/* Those in the window and those with regions, as the guest finds them */
static GPtrArray *places_in_order(const VirtIOGPUBlobMappings *mappings)
{
    GPtrArray *places = g_ptr_array_new();
    VirtIOGPUBlobMapping *m;

    QTAILQ_FOREACH(m, &mappings->shown, next) {
        g_ptr_array_add(places, &m->place);
    }
    g_ptr_array_sort(places, by_offset);
    return places;
}

VirtIOGPUBlobRoom
virtio_gpu_blob_mappings_room(const VirtIOGPUBlobMappings *mappings,
                              uint64_t size)
{
    g_autoptr(GPtrArray) places = places_in_order(mappings);
    VirtIOGPUBlobRoom room = { };
    uint64_t end = 0;
    unsigned i;

    for (i = 0; i < places->len; i++) {
        const VirtIOGPUBlobPlace *place = places->pdata[i];
        uint64_t start = virtio_gpu_blob_place_offset(place);

        room.largest_hole = MAX(room.largest_hole, start - end);
        room.mapped += virtio_gpu_blob_place_len(place);
        end = start + virtio_gpu_blob_place_len(place);
    }
    room.largest_hole = MAX(room.largest_hole, size - end);
    return room;
}

uint64_t virtio_gpu_blob_mappings_live(const VirtIOGPUBlobMappings *mappings)
{
    return mappings->maps - mappings->unmaps;
}

bool virtio_gpu_blob_mappings_draining(const VirtIOGPUBlobMappings *mappings)
{
    return mappings->regions.leaving;
}

void virtio_gpu_blob_mappings_trim(VirtIOGPUBlobMappings *mappings)
{
    if (mappings->window) {
        virtio_gpu_blob_window_trim(mappings->window);
    }
}

void virtio_gpu_blob_mappings_init(VirtIOGPUBlobMappings *mappings,
                                   VirtIOGPU *g, VirtIOGPUBlobLost *lost_func)
{
    mappings->g = g;
    mappings->lost = lost_func;
    mappings->losses_bh = virtio_bh_io_new_guarded(DEVICE(g), tell_losses,
                                                   mappings);
    virtio_gpu_blob_losses_init(&mappings->losses, on_loss,
                                mappings->losses_bh);
    mappings->page_size = qemu_real_host_page_size();
    QTAILQ_INIT(&mappings->shown);
    virtio_gpu_blob_regions_init(&mappings->regions, DEVICE(g),
                                 &VIRTIO_GPU_BASE(g)->hostmem, returned,
                                 &mappings->losses, cover, mappings);
}

bool virtio_gpu_blob_mappings_open(VirtIOGPUBlobMappings *mappings,
                                   Error **errp)
{
    VirtIOGPUBase *b = VIRTIO_GPU_BASE(mappings->g);

    mappings->window = virtio_gpu_blob_window_new(OBJECT(b), &b->hostmem,
                                                  b->conf.hostmem,
                                                  &mappings->losses, errp);
    return mappings->window;
}

void virtio_gpu_blob_mappings_destroy(VirtIOGPUBlobMappings *mappings)
{
    if (mappings->window) {
        virtio_gpu_blob_window_delete(mappings->window);
    }
    virtio_gpu_blob_regions_destroy(&mappings->regions);
    qemu_bh_delete(mappings->losses_bh);
}
