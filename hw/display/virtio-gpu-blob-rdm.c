/*
 * virtio-gpu blob mappings: what others who look at guest memory are told
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "virtio-gpu-blob-rdm.h"

struct VirtIOGPUBlobRDM {
    Object parent_obj;

    uint64_t size;
    IntervalTreeRoot *filled;
    uint64_t announced;
    bool coordinated;
    QLIST_HEAD(, RamDiscardListener) listeners;
};

/* QEMU 10.1 let the callback of replay_discarded() fail. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
typedef ReplayRamDiscardState ReplayPopulated;
typedef ReplayRamDiscardState ReplayDiscarded;
typedef int ReplayResult;
#define REPLAY_RESULT(ret) (ret)

static int call_discarded(ReplayDiscarded fn, MemoryRegionSection *run,
                          void *opaque)
{
    return fn(run, opaque);
}
#else
typedef ReplayRamPopulate ReplayPopulated;
typedef ReplayRamDiscard ReplayDiscarded;
typedef void ReplayResult;
#define REPLAY_RESULT(ret) ((void)(ret))

static int call_discarded(ReplayDiscarded fn, MemoryRegionSection *run,
                          void *opaque)
{
    fn(run, opaque);
    return 0;
}
#endif

typedef int (*VisitRun)(MemoryRegionSection *run, void *opaque);

/*
 * Sections
 */

static uint64_t start_of(const MemoryRegionSection *s)
{
    return s->offset_within_region;
}

static uint64_t end_of(const MemoryRegionSection *s)
{
    return s->offset_within_region + int128_get64(s->size);
}

/* The part of @s in [@start, @end); false if there is none */
static bool clip(MemoryRegionSection *s, uint64_t start, uint64_t end)
{
    start = MAX(start, start_of(s));
    end = MIN(end, end_of(s));
    if (start >= end) {
        return false;
    }
    s->offset_within_address_space += start - s->offset_within_region;
    s->offset_within_region = start;
    s->size = int128_make64(end - start);
    return true;
}

static bool clip_to_place(MemoryRegionSection *s,
                          const VirtIOGPUBlobPlace *place)
{
    return clip(s, place->node.start, place->node.last + 1);
}

static int visit(const MemoryRegionSection *s, uint64_t start, uint64_t end,
                 VisitRun func, void *opaque)
{
    MemoryRegionSection run = *s;

    return clip(&run, start, end) ? func(&run, opaque) : 0;
}

/* The first announced place from @place on, itself or behind it, or NULL */
static VirtIOGPUBlobPlace *skip_silent(IntervalTreeNode *node, uint64_t start,
                                       uint64_t last)
{
    while (node && !virtio_gpu_blob_place_of(node)->announced) {
        node = interval_tree_iter_next(node, start, last);
    }
    return node ? virtio_gpu_blob_place_of(node) : NULL;
}

static VirtIOGPUBlobPlace *first_place(const VirtIOGPUBlobRDM *rdm,
                                       const MemoryRegionSection *s)
{
    uint64_t start = start_of(s), last = end_of(s) - 1;

    return skip_silent(interval_tree_iter_first(rdm->filled, start, last),
                       start, last);
}

static VirtIOGPUBlobPlace *next_place(VirtIOGPUBlobPlace *place,
                                      const MemoryRegionSection *s)
{
    uint64_t start = start_of(s), last = end_of(s) - 1;

    return skip_silent(interval_tree_iter_next(&place->node, start, last),
                       start, last);
}

static int visit_populated(const VirtIOGPUBlobRDM *rdm,
                           const MemoryRegionSection *s,
                           VisitRun func, void *opaque)
{
    VirtIOGPUBlobPlace *place;
    int ret = 0;

    for (place = first_place(rdm, s); place && !ret;
         place = next_place(place, s)) {
        ret = visit(s, place->node.start, place->node.last + 1, func, opaque);
    }
    return ret;
}

static int visit_discarded(const VirtIOGPUBlobRDM *rdm,
                           const MemoryRegionSection *s,
                           VisitRun func, void *opaque)
{
    uint64_t behind = start_of(s);
    VirtIOGPUBlobPlace *place;
    int ret = 0;

    for (place = first_place(rdm, s); place && !ret;
         place = next_place(place, s)) {
        ret = visit(s, behind, place->node.start, func, opaque);
        behind = place->node.last + 1;
    }
    return ret ? ret : visit(s, behind, end_of(s), func, opaque);
}

/*
 * The manager
 */

/*
 * Blobs come and go as wholes.  A listener that cuts at multiples of this
 * cuts none, and needs no more mappings than there are blobs: VFIO aborts
 * QEMU over a window that could need too many.
 */
static uint64_t rdm_get_min_granularity(const RamDiscardManager *rdm,
                                        const MemoryRegion *mr)
{
    return VIRTIO_GPU_BLOB_RDM(rdm)->size;
}

/*
 * Who asks does not listen, and cannot be told that a buffer goes: where a
 * guest has an IOMMU, VFIO and vhost-vdpa ask when it maps there, and pin
 * what they are told is there for as long as the guest likes
 * (memory_get_xlat_addr(), memory_translate_iotlb()).
 */
static bool rdm_is_populated(const RamDiscardManager *rdm,
                             const MemoryRegionSection *s)
{
    return false;
}

static int rdm_replay_populated(const RamDiscardManager *rdm,
                                MemoryRegionSection *s,
                                ReplayPopulated replay_fn, void *opaque)
{
    return visit_populated(VIRTIO_GPU_BLOB_RDM(rdm), s, replay_fn, opaque);
}

typedef struct DiscardedReplay {
    ReplayDiscarded fn;
    void *opaque;
} DiscardedReplay;

static int replay_run(MemoryRegionSection *run, void *opaque)
{
    DiscardedReplay *replay = opaque;

    return call_discarded(replay->fn, run, replay->opaque);
}

static ReplayResult rdm_replay_discarded(const RamDiscardManager *rdm,
                                         MemoryRegionSection *s,
                                         ReplayDiscarded replay_fn,
                                         void *opaque)
{
    DiscardedReplay replay = { .fn = replay_fn, .opaque = opaque };
    int ret = visit_discarded(VIRTIO_GPU_BLOB_RDM(rdm), s, replay_run,
                              &replay);

    return REPLAY_RESULT(ret);
}

static int populate_run(MemoryRegionSection *run, void *opaque)
{
    RamDiscardListener *rdl = opaque;

    return rdl->notify_populate(rdl, run);
}

static int discard_run(MemoryRegionSection *run, void *opaque)
{
    RamDiscardListener *rdl = opaque;

    rdl->notify_discard(rdl, run);
    return 0;
}

/*
 * A listener that fails, or cannot have all, is told of what comes.  Its
 * section may name the flat view of before it was there (memory.c,
 * MEMORY_LISTENER_UPDATE_REGION): that is not held, for a region in it would
 * never end.
 */
static void rdm_register_listener(RamDiscardManager *manager,
                                  RamDiscardListener *rdl,
                                  MemoryRegionSection *s)
{
    VirtIOGPUBlobRDM *rdm = VIRTIO_GPU_BLOB_RDM(manager);
    MemoryRegionSection section = *s;

    section.fv = NULL;
    rdl->section = memory_region_section_new_copy(&section);
    QLIST_INSERT_HEAD(&rdm->listeners, rdl, next);
    if (rdm->announced > VIRTIO_GPU_BLOB_LISTENED_MAX ||
        visit_populated(rdm, rdl->section, populate_run, rdl)) {
        error_report_once("virtio-gpu: a device cannot reach all mapped "
                          "blobs");
    }
}

static void rdm_unregister_listener(RamDiscardManager *manager,
                                    RamDiscardListener *rdl)
{
    VirtIOGPUBlobRDM *rdm = VIRTIO_GPU_BLOB_RDM(manager);

    if (rdl->double_discard_supported) {
        rdl->notify_discard(rdl, rdl->section);
    } else {
        visit_populated(rdm, rdl->section, discard_run, rdl);
    }
    memory_region_section_free_copy(rdl->section);
    rdl->section = NULL;
    QLIST_REMOVE(rdl, next);
}

/*
 * Buffers come and go
 */

bool virtio_gpu_blob_rdm_is_watched(const VirtIOGPUBlobRDM *rdm)
{
    return !QLIST_EMPTY(&rdm->listeners);
}

bool virtio_gpu_blob_rdm_begin(VirtIOGPUBlobRDM *rdm, bool announced)
{
    if (announced && !QLIST_EMPTY(&rdm->listeners) &&
        rdm->announced >= VIRTIO_GPU_BLOB_LISTENED_MAX) {
        return false;
    }
    rdm->coordinated = rdm->coordinated ||
                       !ram_block_coordinated_discard_require(true);
    return rdm->coordinated;
}

void virtio_gpu_blob_rdm_end(VirtIOGPUBlobRDM *rdm)
{
    if (rdm->coordinated && interval_tree_is_empty(rdm->filled)) {
        ram_block_coordinated_discard_require(false);
        rdm->coordinated = false;
    }
}

/* Tell all listeners before @until that the buffer goes */
static void notify_discard(VirtIOGPUBlobRDM *rdm,
                           const VirtIOGPUBlobPlace *place,
                           const RamDiscardListener *until)
{
    RamDiscardListener *rdl;

    QLIST_FOREACH(rdl, &rdm->listeners, next) {
        MemoryRegionSection s = *rdl->section;

        if (rdl == until) {
            return;
        }
        if (clip_to_place(&s, place)) {
            rdl->notify_discard(rdl, &s);
        }
    }
}

bool virtio_gpu_blob_rdm_populate(VirtIOGPUBlobRDM *rdm,
                                  VirtIOGPUBlobPlace *place)
{
    RamDiscardListener *rdl;

    QLIST_FOREACH(rdl, &rdm->listeners, next) {
        MemoryRegionSection s = *rdl->section;

        if (clip_to_place(&s, place) && rdl->notify_populate(rdl, &s)) {
            notify_discard(rdm, place, rdl);
            return false;
        }
    }
    place->announced = true;
    rdm->announced++;
    return true;
}

void virtio_gpu_blob_rdm_discard(VirtIOGPUBlobRDM *rdm,
                                 VirtIOGPUBlobPlace *place)
{
    if (!place->announced) {
        return;
    }
    notify_discard(rdm, place, NULL);
    place->announced = false;
    rdm->announced--;
}

/*
 * Life
 */

VirtIOGPUBlobRDM *virtio_gpu_blob_rdm_new(uint64_t size,
                                          IntervalTreeRoot *filled)
{
    Object *obj = object_new(TYPE_VIRTIO_GPU_BLOB_RDM);
    VirtIOGPUBlobRDM *rdm = VIRTIO_GPU_BLOB_RDM(obj);

    rdm->size = size;
    rdm->filled = filled;
    QLIST_INIT(&rdm->listeners);
    return rdm;
}

void virtio_gpu_blob_rdm_attach(VirtIOGPUBlobRDM *rdm, MemoryRegion *mr)
{
    memory_region_set_ram_discard_manager(mr, RAM_DISCARD_MANAGER(rdm));
}

void virtio_gpu_blob_rdm_detach(MemoryRegion *mr)
{
    memory_region_set_ram_discard_manager(mr, NULL);
}

static void rdm_class_init(ObjectClass *oc, VirtIOGPUBlobClassData data)
{
    RamDiscardManagerClass *rdmc = RAM_DISCARD_MANAGER_CLASS(oc);

    rdmc->get_min_granularity = rdm_get_min_granularity;
    rdmc->is_populated = rdm_is_populated;
    rdmc->replay_populated = rdm_replay_populated;
    rdmc->replay_discarded = rdm_replay_discarded;
    rdmc->register_listener = rdm_register_listener;
    rdmc->unregister_listener = rdm_unregister_listener;
}

static const TypeInfo rdm_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_RDM,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobRDM),
    .class_init = rdm_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_RAM_DISCARD_MANAGER },
        { }
    },
};

static void rdm_register_types(void)
{
    type_register_static(&rdm_info);
}

type_init(rdm_register_types)
