/*
 * Random commands and losses: the life of a mapping, and what waits for a kick
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A model goes through the table in virtio-gpu-blob-mapping.h, step by step;
 * all that the mappings say of themselves must be as it says.
 */

#include "qemu/osdep.h"
#include "qemu/module.h"
#include "hw/virtio/virtio.h"
#include "virtio-gpu-blob-fuzz.h"
#include "virtio-gpu-blob-mapping-doubles.h"

/*
 * Commands
 */

static void on_lost(VirtIOGPUBlobMapping *m)
{
    Resource *r = resource_of(m);

    g_assert(r->vanished && !r->told);
    g_assert(r->state == SHOWN || r->state == ENDING);
    g_assert(r->covered == !m->region);
    r->told = true;
}

static uint32_t id_of(const struct virtio_gpu_ctrl_command *cmd)
{
    return cmd->cmd_hdr.ctx_id;
}

static struct virtio_gpu_ctrl_command *new_command(uint32_t type, uint32_t id,
                                                   bool fenced)
{
    struct virtio_gpu_ctrl_command *cmd =
        g_new0(struct virtio_gpu_ctrl_command, 1);

    cmd->cmd_hdr.type = type;
    cmd->cmd_hdr.flags = fenced ? VIRTIO_GPU_FLAG_FENCE : 0;
    cmd->cmd_hdr.ctx_id = id;
    world.commands++;
    return cmd;
}

static void not_mapped(Resource *r)
{
    g_assert(r->told == r->vanished);
    r->state = NOT_MAPPED;
    r->vanished = r->covered = r->told = false;
}

static void remove_resource(Resource *r)
{
    g_assert(r->state == NOT_MAPPED && !r->res->blob.mapping);
    g_free(r->res);
    r->res = NULL;
}

/* Only of one that waited */
void virtio_gpu_ctrl_response_nodata(VirtIOGPU *g,
                                     struct virtio_gpu_ctrl_command *cmd,
                                     enum virtio_gpu_ctrl_type type)
{
    Resource *r = &world.of[id_of(cmd)];

    g_assert(r->state == ENDING);
    if (type == VIRTIO_GPU_RESP_OK_NODATA) {
        g_assert(!r->res->blob.mapping);
        not_mapped(r);
    } else {
        g_assert(r->res->blob.mapping && world.failed);
        g_assert(type == VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY);
        r->state = SHOWN;
    }
    world.commands--;
}

/* With RETURNED, its region is no more. */
static bool is_lent(const Resource *r)
{
    const VirtIOGPUBlobRegion *region = r->res->blob.mapping->region;

    return region && region->is_loan;
}

/* False if it must be tried again. */
static bool end_mapping(Resource *r)
{
    State state = r->state;
    bool loan = state == SHOWN && is_lent(r);
    bool suspended = false;
    VirtIOGPUBlobReason reason;

    g_assert(state == SHOWN || state == RETURNED);
    reason = virtio_gpu_blob_mapping_end(r->res, &suspended);
    if (reason) {
        g_assert(reason == VIRTIO_GPU_BLOB_TOO_MANY_MAPPINGS);
        g_assert(state == SHOWN && world.failed && !loan);
        return true;
    }
    g_assert(suspended == loan);
    if (suspended) {
        r->state = LEAVING;
        return false;
    }
    not_mapped(r);
    return true;
}

/* What virtio-gpu-virgl.c makes of the two commands; false if it waits */
static bool process(struct virtio_gpu_ctrl_command *cmd)
{
    Resource *r = &world.of[id_of(cmd)];

    if (r->res && r->state != NOT_MAPPED && !end_mapping(r)) {
        return false;
    }
    if (r->res && r->state == NOT_MAPPED &&
        cmd->cmd_hdr.type == VIRTIO_GPU_CMD_RESOURCE_UNREF) {
        remove_resource(r);
    }
    world.commands--;
    return true;
}

/* One that has waited for the kick's end */
static void process_cmd(VirtIOGPU *g, struct virtio_gpu_ctrl_command *cmd)
{
    bool done;

    world.of[id_of(cmd)].unref_waits = false;
    done = process(cmd);
    g_assert(done);
}

static void handle_ctrl(VirtIODevice *vdev, VirtQueue *vq)
{
    struct virtio_gpu_ctrl_command *cmd = world.suspended;

    if (cmd && !world.gpu.parent_obj.renderer_blocked) {
        world.suspended = NULL;
        g_assert(world.of[id_of(cmd)].state == RETURNED);
        g_assert(process(cmd));
        g_free(cmd);
    }
}

/* Neighbours go as one. */
static void settle(void)
{
    VirtIOGPUBlobPlace *places[PAGES], *last = NULL;
    unsigned i, n = 0, runs = 0, before = world.unmaps;

    for (i = 0; i < PAGES; i++) {
        if (world.at[i] && world.at[i] != last &&
            resource_of(mapping_of(world.at[i]))->state == ENDING) {
            places[n++] = world.at[i];
        }
        last = world.at[i];
    }
    for (i = 0; i < n; runs++) {
        i += virtio_gpu_blob_window_run(NULL, places + i, n - i);
    }
    world.failed = false;
    virtio_gpu_blob_pending_settle(&world.pending);
    g_assert(world.failed || world.unmaps - before == runs);
}

/* A command that ends a mapping comes after all that came before it. */
static void give(uint32_t type, uint32_t id, bool fenced)
{
    struct virtio_gpu_ctrl_command *cmd = new_command(type, id, fenced);
    Resource *r = &world.of[id];
    bool unmap = type == VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB;
    bool waits = !fenced && world.pending.n < VIRTIO_GPU_BLOB_PENDING_MAX &&
                 (unmap ? r->state == SHOWN && !r->res->blob.mapping->region
                        : r->state == ENDING);

    g_assert(waits == (r->res && virtio_gpu_blob_pending_hold(&world.pending,
                                                             cmd, r->res)));
    if (waits) {
        r->state = ENDING;
        r->unref_waits |= !unmap;
        return;
    }
    settle();
    if (process(cmd)) {
        g_free(cmd);
    } else {
        world.suspended = cmd;
    }
}

/*
 * Map
 */

static struct virtio_gpu_virgl_resource *resource_at(uint32_t id, uint64_t n)
{
    Resource *r = &world.of[id];

    if (!r->res) {
        r->res = g_new0(struct virtio_gpu_virgl_resource, 1);
        r->res->base.resource_id = id;
        r->res->base.blob_size = n * PAGE - (n % 2 ? 0 : PAGE - 1);
    }
    return r->res;
}

static void is_mapped(Resource *r, const VirtIOGPUBlobBuffer *buf,
                      const VirtIOGPUBlobVerdict *verdict)
{
    g_assert(r->res->blob.mapping);
    r->state = SHOWN;
    r->backing = buf->facts.backing;
    r->map_info = verdict->map_info;
    r->order = ++world.order;
}

static bool replaces(struct virtio_gpu_virgl_resource *old,
                     struct virtio_gpu_virgl_resource *res,
                     const VirtIOGPUBlobBuffer *buf,
                     const VirtIOGPUBlobVerdict *verdict)
{
    bool fd = buf->facts.backing != VIRTIO_GPU_BLOB_BACKING_OPAQUE;

    g_assert(world.of[old->base.resource_id].state == ENDING);
    if (virtio_gpu_blob_mapping_replace(old, res, buf, verdict)) {
        g_assert(fd);
        is_mapped(&world.of[res->base.resource_id], buf, verdict);
        virtio_gpu_blob_pending_replaced(&world.pending, old);
        return true;
    }
    g_assert(!fd || world.failed);
    settle();
    return false;
}

/* The one that waits to give up this very place; but who waits, goes first */
static struct virtio_gpu_virgl_resource *
waiter_at(uint32_t id, const VirtIOGPUBlobPlace *place)
{
    VirtIOGPUBlobPlace *there = world.at[first_page(place)];
    Resource *r = there ? resource_of(mapping_of(there)) : NULL;

    return r && r->state == ENDING && world.of[id].state != ENDING &&
           !world.of[id].unref_waits && first_page(there) == first_page(place) &&
           end_page(there) == end_page(place) ? r->res : NULL;
}

static bool may_fail_so(VirtIOGPUBlobReason reason, unsigned backing)
{
    if (backing == VIRTIO_GPU_BLOB_BACKING_OPAQUE ||
        world.window_errno == EBUSY) {
        return reason == VIRTIO_GPU_BLOB_REGION_LIMIT;
    }
    return reason == virtio_gpu_blob_reason_of_errno(world.window_errno);
}

/* As virtio-gpu-blob.c puts it together */
static void map(uint32_t id, unsigned page, unsigned n, unsigned backing)
{
    struct virtio_gpu_virgl_resource *res = resource_at(id, n), *old;
    const VirtIOGPUBlobBuffer buf = { .fd = -1, .facts.backing = backing };
    const VirtIOGPUBlobVerdict verdict = { .map_info = 1 + page % 3 };
    VirtIOGPUBlobPlace place = virtio_gpu_blob_mappings_place(
        &world.mappings, page * PAGE, res->base.blob_size);
    VirtIOGPUBlobReason reason;

    if (end_page(&place) > PAGES) {
        return;
    }
    world.backing = backing;
    old = virtio_gpu_blob_pending_at(&world.pending, res, &place);
    g_assert(old == waiter_at(id, &place));
    if (!old) {
        settle();
    }
    if (world.of[id].res != res || world.of[id].state != NOT_MAPPED ||
        (old && replaces(old, res, &buf, &verdict))) {
        return;
    }
    if (virtio_gpu_blob_mappings_are_at(&world.mappings, page * PAGE,
                                        res->base.blob_size)) {
        return;
    }
    reason = virtio_gpu_blob_mapping_place(&world.mappings, res, page * PAGE,
                                           &buf, &verdict);
    g_assert(reason == VIRTIO_GPU_BLOB_OK ||
             (world.failed && may_fail_so(reason, backing)));
    if (!reason) {
        is_mapped(&world.of[id], &buf, &verdict);
    }
}

/*
 * All else that happens
 */

static void reset_one(Resource *r)
{
    bool loan = r->state == LEAVING || (r->state == SHOWN && is_lent(r));

    if (r->state != NOT_MAPPED) {
        r->orphan = !virtio_gpu_blob_mapping_abandon(r->res);
        g_assert(r->orphan == loan);
        not_mapped(r);
    }
    remove_resource(r);
}

static void reset(void)
{
    unsigned i;

    settle();
    world.resets = true;
    for (i = 0; i < IDS; i++) {
        if (world.of[i].res) {
            reset_one(&world.of[i]);
        }
    }
    if (world.suspended) {
        world.commands--;
        g_free(world.suspended);
        world.suspended = NULL;
    }
    virtio_gpu_blob_mappings_trim(&world.mappings);
    world.resets = false;
}

/* The renderer has back what it lent, of any that is hidden. */
static bool give_back(unsigned which)
{
    VirtIOGPUBlobRegion *r, *found = NULL;

    QTAILQ_FOREACH(r, &world.regions, next) {
        if (!r->place && (!found || which--)) {
            found = r;
        }
    }
    if (found) {
        VirtIOGPUBlobMapping *m = found->opaque;
        Resource *of = resource_of(m);

        double_free_region(found);
        world.mappings.regions.leaving--;
        if (!of->orphan) {
            g_assert(of->state == LEAVING);
            of->state = RETURNED;
        }
        world.mappings.regions.returned(m);
    }
    return found;
}

static void lose_one(uint32_t id)
{
    State state = world.of[id].state;

    if (state == SHOWN || state == ENDING) {
        double_lose(&world.of[id].res->blob.mapping->place);
    }
}

/* Those that have gone, and nobody knew: the doubles' at odd pages */
static void touch(void)
{
    uint64_t before = world.mappings.losses.count;
    const VirtIOGPUBlobMapping *m;
    bool any = virtio_gpu_blob_mappings_touch(&world.mappings);

    g_assert(any == (world.mappings.losses.count != before));
    QTAILQ_FOREACH(m, &world.mappings.shown, next) {
        g_assert(m->place.lost || virtio_gpu_blob_place_offset(&m->place) /
                 PAGE % 2 == 0);
    }
}

/* From where it stopped the last time up to the oldest, then anew */
static void look(unsigned n)
{
    VirtIOGPUBlobMapping *m = world.mappings.next_look ?:
                              QTAILQ_FIRST(&world.mappings.shown);
    unsigned left = 0;

    for (; m && left < n; m = QTAILQ_NEXT(m, next)) {
        left++;
    }
    world.looks = 0;
    virtio_gpu_blob_mappings_look(&world.mappings, n);
    g_assert(world.looks == left);
    g_assert(!left || world.mappings.next_look == m);
}

/*
 * Rules
 */

static void check_place(VirtIOGPUBlobMapping *m)
{
    unsigned i;

    if (m->region) {
        g_assert(m->region->place == &m->place);
        return;
    }
    for (i = first_page(&m->place); i < end_page(&m->place); i++) {
        g_assert(world.at[i] == &m->place);
    }
}

static void check_resource(const Resource *r)
{
    VirtIOGPUBlobMapping *m = r->res ? r->res->blob.mapping : NULL;

    g_assert(!m == (r->state == NOT_MAPPED));
    if (!m) {
        return;
    }
    g_assert(m->state + 1 == r->state);
    g_assert(m->backing == r->backing);
    g_assert(m->verdict.map_info == r->map_info);
    if (r->state == SHOWN || r->state == ENDING) {
        check_place(m);
        g_assert(m->place.lost == r->vanished);
        g_assert(!r->told || r->vanished);
    }
}

/* Those that the guest sees, the newest first, and nothing else */
static unsigned check_shown(void)
{
    VirtIOGPUBlobMapping *m;
    uint64_t last = UINT64_MAX;
    bool found = !world.mappings.next_look;
    unsigned n = 0;

    QTAILQ_FOREACH(m, &world.mappings.shown, next) {
        const Resource *r = resource_of(m);

        g_assert(r->res->blob.mapping == m);
        g_assert(r->state == SHOWN || r->state == ENDING);
        g_assert(r->order < last);
        last = r->order;
        found |= world.mappings.next_look == m;
        n++;
    }
    g_assert(found);
    return n;
}

static void check_counts(unsigned shown)
{
    unsigned i, n = 0, blocked = 0, waiting = world.pending.n;

    for (i = 0; i < IDS; i++) {
        State state = world.of[i].state;

        n += state == SHOWN || state == ENDING;
        blocked += state == LEAVING || world.of[i].orphan;
    }
    g_assert(n == shown);
    g_assert(virtio_gpu_blob_mappings_live(&world.mappings) == n);
    g_assert(world.mappings.high_water >= n);
    g_assert(world.gpu.parent_obj.renderer_blocked == blocked);
    g_assert(virtio_gpu_blob_mappings_draining(&world.mappings) == !!blocked);
    g_assert(world.commands == waiting + !!world.suspended);
}

static void check_room(void)
{
    VirtIOGPUBlobRoom room = virtio_gpu_blob_mappings_room(&world.mappings,
                                                           PAGES * PAGE);
    uint64_t mapped = 0, hole = 0, longest = 0;
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        const VirtIOGPUBlobPlace page = virtio_gpu_blob_place(i * PAGE, PAGE);
        bool taken = world.at[i] ||
                     virtio_gpu_blob_regions_are_at(NULL, &page);

        mapped += taken;
        hole = taken ? 0 : hole + 1;
        longest = MAX(longest, hole);
    }
    g_assert(room.mapped == mapped * PAGE);
    g_assert(room.largest_hole == longest * PAGE);
}

static void check(void)
{
    unsigned i;

    for (i = 0; i < IDS; i++) {
        check_resource(&world.of[i]);
    }
    check_counts(check_shown());
}

/*
 * Life
 */

static void gpu_class_init(ObjectClass *klass, VirtIOGPUBlobClassData data)
{
    VirtIOGPUClass *vgc = VIRTIO_GPU_CLASS(klass);

    vgc->handle_ctrl = handle_ctrl;
    vgc->process_cmd = process_cmd;
}

static const TypeInfo types[] = {
    {
        .name = TYPE_DEVICE,
        .parent = TYPE_OBJECT,
        .instance_size = sizeof(DeviceState),
        .class_size = sizeof(DeviceClass),
    }, {
        .name = TYPE_VIRTIO_DEVICE,
        .parent = TYPE_DEVICE,
        .instance_size = sizeof(VirtIODevice),
        .class_size = sizeof(VirtioDeviceClass),
    }, {
        .name = TYPE_VIRTIO_GPU_BASE,
        .parent = TYPE_VIRTIO_DEVICE,
        .instance_size = sizeof(VirtIOGPUBase),
        .class_size = sizeof(VirtIOGPUBaseClass),
    }, {
        .name = TYPE_VIRTIO_GPU,
        .parent = TYPE_VIRTIO_GPU_BASE,
        .instance_size = sizeof(VirtIOGPU),
        .class_size = sizeof(VirtIOGPUClass),
        .class_init = gpu_class_init,
    },
};

static void set_up(void)
{
    if (!world.mappings.g) {
        module_call_init(MODULE_INIT_QOM);
        type_register_static_array(types, G_N_ELEMENTS(types));
        object_initialize(&world.gpu, sizeof(world.gpu), TYPE_VIRTIO_GPU);
        QTAILQ_INIT(&world.regions);
        virtio_gpu_blob_mappings_init(&world.mappings, &world.gpu, on_lost);
        g_assert(virtio_gpu_blob_mappings_open(&world.mappings, NULL));
        world.pending.g = &world.gpu;
        world.pending.mappings = &world.mappings;
    }
    world.window_errno = EBUSY;
    world.fixed = false;
}

static void tear_down(void)
{
    world.window_fails = world.region_fails = 0;
    reset();
    while (give_back(0)) {
        check();
    }
    check();
    check_room();
    g_assert(QTAILQ_EMPTY(&world.regions));
    g_assert(!world.commands);
}

static void fail(unsigned what, unsigned n)
{
    static const int errnos[] = { EBUSY, ENOMEM, EMFILE, EBUSY };

    if (what % 2) {
        world.window_fails = n % 4;
        world.window_errno = errnos[n / 4 % 4];
    } else {
        world.region_fails = n % 4;
    }
    world.fixed = what & 2;
}

/* A command waits while the renderer does. */
static void command(unsigned what, unsigned id, FuzzInput *in)
{
    static const unsigned backings[] = {
        VIRTIO_GPU_BLOB_BACKING_SHM, VIRTIO_GPU_BLOB_BACKING_DMABUF,
        VIRTIO_GPU_BLOB_BACKING_OPAQUE, VIRTIO_GPU_BLOB_BACKING_SHM,
    };
    unsigned where;

    if (world.gpu.parent_obj.renderer_blocked) {
        return;
    }
    switch (what % 8) {
    case 0:
    case 1:
    case 2:
        where = fuzz_byte(in);
        map(id, where % PAGES, 1 + what / 8 % 4,
            backings[where / PAGES % 4]);
        break;
    case 3:
    case 4:
        give(VIRTIO_GPU_CMD_RESOURCE_UNMAP_BLOB, id, what / 8 % 16 == 15);
        break;
    case 5:
        give(VIRTIO_GPU_CMD_RESOURCE_UNREF, id, what / 8 % 16 == 15);
        break;
    default:
        settle();
        break;
    }
}

static void step(FuzzInput *in)
{
    unsigned what = fuzz_byte(in), arg = fuzz_byte(in);

    world.failed = false;
    switch (arg / IDS) {
    case 31:
        reset();
        break;
    case 30:
        touch();
        break;
    case 29:
        look(what % 4);
        break;
    case 28:
    case 27:
        lose_one(what % IDS);
        break;
    case 26:
    case 25:
        fail(arg, what);
        break;
    case 24:
    case 23:
    case 22:
        settle();
        give_back(what);
        break;
    case 21:
        check_room();
        break;
    default:
        command(what, arg % IDS, in);
        break;
    }
    check();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };

    set_up();
    while (in.size) {
        step(&in);
    }
    tear_down();
    return 0;
}

#ifndef VIRTIO_GPU_BLOB_FUZZER
int main(int argc, char **argv)
{
    static const char *const corpus[] = {
#include "virtio-gpu-blob-fuzz-mapping-corpus.h"
        NULL
    };

    return fuzz_replay(argc, argv, "/virtio-gpu-blob/fuzz/mapping", corpus);
}
#endif
