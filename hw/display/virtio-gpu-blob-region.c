/*
 * virtio-gpu blob mappings: regions of their own
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "hw/virtio/vhost.h"
#include "hw/virtio/virtio.h"
#include "system/kvm.h"
#include "virtio-gpu-blob-fault.h"
#include "virtio-gpu-blob-rdm.h"
#include "virtio-gpu-blob-region.h"

#include <virglrenderer.h>

/*
 * A region within the window makes three slots of one: what comes before,
 * itself, and what comes after.
 */
#define SLOTS_NEEDED 2

/*
 * What KVM makes of VM_PFNMAP under a slot: see virtio-gpu-blob-aside.h.  On
 * arm64 it may also map 2 MiB of physical memory from a buffer's first page on,
 * where addresses match (get_vma_page_shift() of 5.14 to 7.2).  On x86 it does
 * not look.
 */
#if defined(HOST_X86_64) || defined(HOST_I386)
#define SLOTS_LOOK false
#else
#define SLOTS_LOOK true
#endif

/*
 * QEMU's RCU thread waits, five times 10 ms or until a reader ends, for so many
 * callbacks to pile up (util/rcu.c, RCU_CALL_MIN_SIZE).  A region takes two of
 * its turns to go, and a guest's command waits for it: two are made short.
 * More are not, or I/O that refers to a region would keep that thread busy.
 */
#define HASTE 30
#define HASTY_TURNS 2

#define TYPE_VIRTIO_GPU_BLOB_REGION "virtio-gpu-blob-region"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobRegion, VIRTIO_GPU_BLOB_REGION)

/**
 * VirtIOGPUBlobLoan - memory of the renderer that a region shows
 * @regions: the device's
 * @resource_id: whose memory it is
 * @opaque: who wants to know when it is returned
 * @next: within @regions->ended
 *
 * It outlives the region, until the renderer has its memory back.
 */
struct VirtIOGPUBlobLoan {
    VirtIOGPUBlobRegions *regions;
    uint32_t resource_id;
    void *opaque;
    QSLIST_ENTRY(VirtIOGPUBlobLoan) next;
};

/**
 * VirtIOGPUBlobRegion - one of them
 * @regions: the device's
 * @watch: what @mr shows, and who is told of a SIGBUS in it
 * @place: where it is shown; NULL once it is hidden, under the losses' lock
 * @covered: a page of it was lost, and others show now
 * @loan: if it is the renderer's, or NULL if we mapped it
 * @nothing: what those who look at guest memory are told is there
 * @rdm: tells them
 * @turns: of RCU's thread, since it was hidden
 * @haste: do nothing, so that a turn begins at once
 */
struct VirtIOGPUBlobRegion {
    Object parent_obj;

    struct rcu_head rcu;
    MemoryRegion mr;
    VirtIOGPUBlobRegions *regions;
    VirtIOGPUBlobWatch watch;
    VirtIOGPUBlobPlace *place;
    bool covered;
    VirtIOGPUBlobLoan *loan;
    IntervalTreeRoot nothing;
    VirtIOGPUBlobRDM *rdm;
    unsigned turns;
    struct rcu_head haste[HASTE];
};

/*
 * Room
 */

/*
 * Room for all of them is asked for, since those of a BAR that the guest has
 * moved away come back at once.
 */
static bool has_slots(unsigned needed)
{
    if (kvm_enabled() && kvm_get_free_memslots() < needed) {
        return false;
    }
    return vhost_get_free_memslots() >= needed;
}

static VirtIOGPUBlobReason check_room(const VirtIOGPUBlobRegions *regions)
{
    if (regions->count >= VIRTIO_GPU_BLOB_REGIONS_MAX) {
        return VIRTIO_GPU_BLOB_REGION_LIMIT;
    }
    return has_slots((regions->count + 1) * SLOTS_NEEDED)
           ? VIRTIO_GPU_BLOB_OK : VIRTIO_GPU_BLOB_NO_MEMORY_SLOT;
}

/* Only VM_PFNMAP and VM_IO cannot be populated; such memory is not touched. */
static bool may_have_slot(const VirtIOGPUBlobRegions *regions, void *host,
                          uint64_t len)
{
    return !kvm_enabled() || !regions->slots_look ||
           !madvise(host, len, MADV_POPULATE_READ);
}

bool virtio_gpu_blob_regions_are_at(VirtIOGPUBlobRegions *regions,
                                    const VirtIOGPUBlobPlace *place)
{
    return interval_tree_iter_first(&regions->shown, place->node.start,
                                    place->node.last);
}

/*
 * Regions that lose their pages
 */

static bool lose(VirtIOGPUBlobRegion *region, void *addr)
{
    VirtIOGPUBlobRegions *regions = region->regions;

    if (virtio_gpu_blob_losses_doubt(region->place, addr)) {
        return true;
    }
    if (region->covered ||
        !regions->cover(regions->opaque, region->watch.start,
                        region->watch.len)) {
        return false;
    }
    region->covered = true;
    if (region->place) {
        virtio_gpu_blob_losses_add(regions->losses, region->place);
    }
    return true;
}

/* The renderer does not use what it has lent, and unmaps it as a whole. */
static bool on_fault(void *opaque, void *addr)
{
    VirtIOGPUBlobRegion *region = opaque;
    bool mended;

    qemu_spin_lock(&region->regions->losses->lock);
    mended = lose(region, addr);
    qemu_spin_unlock(&region->regions->losses->lock);
    return mended;
}

void virtio_gpu_blob_region_look(VirtIOGPUBlobRegion *region)
{
    virtio_gpu_blob_look(region->watch.start, region->watch.len);
}

void virtio_gpu_blob_region_touch(VirtIOGPUBlobRegion *region)
{
    virtio_gpu_blob_touch(region->watch.start, region->watch.len, false,
                          &region->covered);
}

static void watch(VirtIOGPUBlobRegion *region, void *host, uint64_t len)
{
    region->watch = (VirtIOGPUBlobWatch) {
        .start = host,
        .len = len,
        .mend = on_fault,
        .opaque = region,
    };
    virtio_gpu_blob_watch(&region->watch);
}

/*
 * Show
 */

/*
 * Nobody can say whether this memory stays where it is, and VFIO would let
 * devices write to it all the same: it is told that nothing is there.  Who
 * needs all memory pinned, vhost-vdpa, does not listen; it is kept away, or if
 * it is there already, passes over the RAM of a device.
 */
static void init_memory(VirtIOGPUBlobRegion *region)
{
    const VirtIOGPUBlobWatch *shown = &region->watch;
    const char *name = "virtio-gpu-blob-region";

    region->rdm = virtio_gpu_blob_rdm_new(pow2ceil(shown->len),
                                          &region->nothing);
    if (virtio_gpu_blob_rdm_begin(region->rdm, false)) {
        memory_region_init_ram_ptr(&region->mr, OBJECT(region), name,
                                   shown->len, shown->start);
        virtio_gpu_blob_rdm_attach(region->rdm, &region->mr);
    } else {
        memory_region_init_ram_device_ptr(&region->mr, OBJECT(region), name,
                                          shown->len, shown->start);
    }
}

static VirtIOGPUBlobRegion *show(VirtIOGPUBlobRegions *regions, void *host,
                                 VirtIOGPUBlobPlace *place)
{
    Object *obj = object_new(TYPE_VIRTIO_GPU_BLOB_REGION);
    VirtIOGPUBlobRegion *region = VIRTIO_GPU_BLOB_REGION(obj);
    uint64_t len = virtio_gpu_blob_place_len(place);

    region->regions = regions;
    region->place = place;
    watch(region, host, len);
    regions->count++;
    interval_tree_insert(&place->node, &regions->shown);
    init_memory(region);
    memory_region_add_subregion_overlap(regions->container,
                                        virtio_gpu_blob_place_offset(place),
                                        &region->mr, 1);
    return region;
}

VirtIOGPUBlobReason
virtio_gpu_blob_region_show_fd(VirtIOGPUBlobRegions *regions, int fd,
                               VirtIOGPUBlobPlace *place,
                               VirtIOGPUBlobRegion **shown)
{
    VirtIOGPUBlobReason reason = check_room(regions);
    void *host;

    if (reason) {
        return reason;
    }
    host = mmap(NULL, virtio_gpu_blob_place_len(place),
                PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (host == MAP_FAILED) {
        return virtio_gpu_blob_reason_of_errno(errno);
    }
    if (!may_have_slot(regions, host, virtio_gpu_blob_place_len(place))) {
        munmap(host, virtio_gpu_blob_place_len(place));
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    *shown = show(regions, host, place);
    return VIRTIO_GPU_BLOB_OK;
}

/* More than the blob's pages would show the guest the host's other data. */
static VirtIOGPUBlobReason check_loan(const VirtIOGPUBlobRegions *regions,
                                      void *host, uint64_t got, uint64_t size,
                                      const VirtIOGPUBlobPlace *place)
{
    if (got < size) {
        return VIRTIO_GPU_BLOB_BUFFER_TOO_SHORT;
    }
    if (!host || !QEMU_PTR_IS_ALIGNED(host, qemu_real_host_page_size()) ||
        got < virtio_gpu_blob_place_len(place) ||
        !may_have_slot(regions, host, virtio_gpu_blob_place_len(place))) {
        return VIRTIO_GPU_BLOB_MAP_FAILED;
    }
    return VIRTIO_GPU_BLOB_OK;
}

static VirtIOGPUBlobReason borrow(const VirtIOGPUBlobRegions *regions,
                                  uint32_t resource_id, uint64_t size,
                                  const VirtIOGPUBlobPlace *place,
                                  void **host)
{
    VirtIOGPUBlobReason reason;
    uint64_t got;
    int ret = virgl_renderer_resource_map(resource_id, host, &got);

    if (ret) {
        return virtio_gpu_blob_reason_of_errno(-ret);
    }
    reason = check_loan(regions, *host, got, size, place);
    if (reason) {
        virgl_renderer_resource_unmap(resource_id);
    }
    return reason;
}

VirtIOGPUBlobReason
virtio_gpu_blob_region_show_loan(VirtIOGPUBlobRegions *regions,
                                 uint32_t resource_id, uint64_t size,
                                 VirtIOGPUBlobPlace *place, void *opaque,
                                 VirtIOGPUBlobRegion **shown)
{
    VirtIOGPUBlobReason reason = check_room(regions);
    VirtIOGPUBlobLoan *loan;
    void *host;

    if (!reason) {
        reason = borrow(regions, resource_id, size, place, &host);
    }
    if (reason) {
        return reason;
    }
    loan = g_new0(VirtIOGPUBlobLoan, 1);
    loan->regions = regions;
    loan->resource_id = resource_id;
    loan->opaque = opaque;
    *shown = show(regions, host, place);
    (*shown)->loan = loan;
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * Hide
 */

static void do_nothing(struct rcu_head *rcu)
{
}

static void reclaim(struct rcu_head *rcu);

/* Callbacks run in order: those in @haste are done with before the region. */
static void reclaim_later(VirtIOGPUBlobRegion *region)
{
    unsigned i;

    if (region->turns++ < HASTY_TURNS) {
        for (i = 0; i < HASTE; i++) {
            call_rcu1(&region->haste[i], do_nothing);
        }
    }
    call_rcu1(&region->rcu, reclaim);
}

/*
 * I/O in flight may refer to the region, and be done in a thread without the
 * BQL.  A region must not end there: the last reference is ours.
 */
static void reclaim(struct rcu_head *rcu)
{
    VirtIOGPUBlobRegion *region = container_of(rcu, VirtIOGPUBlobRegion, rcu);

    if (qatomic_read(&OBJECT(region)->ref) > 1) {
        reclaim_later(region);
        return;
    }
    object_unref(OBJECT(region));
}

static void let_go(VirtIOGPUBlobRegion *region, VirtIOGPUBlobPlace *place)
{
    VirtIOGPUBlobLosses *losses = region->regions->losses;

    interval_tree_remove(&place->node, &region->regions->shown);
    qemu_spin_lock(&losses->lock);
    region->place = NULL;
    virtio_gpu_blob_losses_forget(losses, place);
    qemu_spin_unlock(&losses->lock);
}

bool virtio_gpu_blob_region_hide(VirtIOGPUBlobRegion *region,
                                 VirtIOGPUBlobPlace *place)
{
    VirtIOGPUBlobRegions *regions = region->regions;
    bool ours = !region->loan;

    let_go(region, place);
    if (ours) {
        regions->count--;
    } else {
        regions->leaving++;
    }
    memory_region_del_subregion(regions->container, &region->mr);
    reclaim_later(region);
    return ours;
}

/* The renderer can be used in the main loop only: leave the rest to it. */
static void end_loan(VirtIOGPUBlobLoan *loan)
{
    QSLIST_INSERT_HEAD(&loan->regions->ended, loan, next);
    qemu_bh_schedule(loan->regions->ended_bh);
}

static void region_finalize(Object *obj)
{
    VirtIOGPUBlobRegion *region = VIRTIO_GPU_BLOB_REGION(obj);

    virtio_gpu_blob_unwatch(&region->watch);
    if (region->loan) {
        end_loan(region->loan);
    } else {
        munmap(region->watch.start, region->watch.len);
    }
    virtio_gpu_blob_rdm_end(region->rdm);
    object_unref(region->rdm);
}

static void return_loan(VirtIOGPUBlobRegions *regions, VirtIOGPUBlobLoan *loan)
{
    virgl_renderer_force_ctx_0();
    virgl_renderer_resource_unmap(loan->resource_id);
    regions->count--;
    regions->leaving--;
    regions->returned(loan->opaque);
    g_free(loan);
}

static void return_loans(void *opaque)
{
    VirtIOGPUBlobRegions *regions = opaque;
    VirtIOGPUBlobLoan *loan;

    while ((loan = QSLIST_FIRST(&regions->ended))) {
        QSLIST_REMOVE_HEAD(&regions->ended, next);
        return_loan(regions, loan);
    }
}

/*
 * Life
 */

void virtio_gpu_blob_regions_init(VirtIOGPUBlobRegions *regions,
                                  DeviceState *dev, MemoryRegion *container,
                                  VirtIOGPUBlobReturned *returned,
                                  VirtIOGPUBlobLosses *losses,
                                  VirtIOGPUBlobCover *cover, void *opaque)
{
    regions->container = container;
    regions->returned = returned;
    regions->slots_look = SLOTS_LOOK;
    regions->losses = losses;
    regions->cover = cover;
    regions->opaque = opaque;
    QSLIST_INIT(&regions->ended);
    regions->ended_bh = virtio_bh_io_new_guarded(dev, return_loans, regions);
}

void virtio_gpu_blob_regions_destroy(VirtIOGPUBlobRegions *regions)
{
    qemu_bh_delete(regions->ended_bh);
}

static const TypeInfo region_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_REGION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobRegion),
    .instance_finalize = region_finalize,
};

static void region_register_types(void)
{
    type_register_static(&region_info);
}

type_init(region_register_types)
