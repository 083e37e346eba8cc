/*
 * The life of a mapping without what is below it: doubles
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "hw/display/virtio-gpu-blob-fixed.h"
#include "hw/virtio/virtio.h"
#include "virtio-gpu-blob-mapping-doubles.h"

World world;

static bool fails(unsigned *count)
{
    if (!*count) {
        return false;
    }
    (*count)--;
    world.failed = true;
    return true;
}

/*
 * The window
 */

/* From one buffer to another, or to none */
static void turn(const VirtIOGPUBlobPlace *where, VirtIOGPUBlobPlace *from,
                 VirtIOGPUBlobPlace *to)
{
    unsigned i;

    for (i = first_page(where); i < end_page(where); i++) {
        g_assert(world.at[i] == from);
        world.at[i] = to;
    }
}

/* Who has lost a page in between is forgotten, as the window's room does. */
static void take_out(VirtIOGPUBlobPlace *place)
{
    turn(place, place, NULL);
    virtio_gpu_blob_losses_forget(&world.mappings.losses, place);
}

bool virtio_gpu_blob_window_is_taken(VirtIOGPUBlobWindow *w,
                                     const VirtIOGPUBlobPlace *place)
{
    unsigned i;

    for (i = first_page(place); i < end_page(place); i++) {
        if (world.at[i]) {
            return true;
        }
    }
    return false;
}

bool virtio_gpu_blob_buffer_seal(const VirtIOGPUBlobBuffer *buf)
{
    return true;
}

int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w, int fd, bool shm,
                               VirtIOGPUBlobPlace *place)
{
    g_assert(shm == (world.backing == VIRTIO_GPU_BLOB_BACKING_SHM));
    if (fails(&world.window_fails)) {
        return -world.window_errno;
    }
    turn(place, NULL, place);
    return 0;
}

bool virtio_gpu_blob_window_move_in(VirtIOGPUBlobWindow *w, void *apart,
                                    VirtIOGPUBlobPlace *place)
{
    return !virtio_gpu_blob_window_map(w, -1, false, place);
}

bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool final)
{
    g_assert(final == world.resets);
    world.unmaps++;
    if (!final && fails(&world.window_fails)) {
        return false;
    }
    take_out(place);
    return true;
}

unsigned virtio_gpu_blob_window_run(const VirtIOGPUBlobWindow *w,
                                    VirtIOGPUBlobPlace *const *places,
                                    unsigned n)
{
    unsigned i = 1;

    /* The hole begins anew in the middle. */
    while (i < n && first_page(places[i]) == end_page(places[i - 1]) &&
           first_page(places[0]) / (PAGES / 2) ==
           (end_page(places[i]) - 1) / (PAGES / 2)) {
        i++;
    }
    return i;
}

bool virtio_gpu_blob_window_unmap_run(VirtIOGPUBlobWindow *w,
                                      VirtIOGPUBlobPlace *const *places,
                                      unsigned n)
{
    unsigned i;

    g_assert(virtio_gpu_blob_window_run(w, places, n) == n);
    world.unmaps++;
    if (fails(&world.window_fails)) {
        return false;
    }
    for (i = 0; i < n; i++) {
        take_out(places[i]);
    }
    return true;
}

bool virtio_gpu_blob_window_replace(VirtIOGPUBlobWindow *w, int fd, bool shm,
                                    VirtIOGPUBlobPlace *old,
                                    VirtIOGPUBlobPlace *place)
{
    g_assert(shm == (world.backing == VIRTIO_GPU_BLOB_BACKING_SHM));
    if (fails(&world.window_fails)) {
        return false;
    }
    g_assert(old->node.start == place->node.start &&
             old->node.last == place->node.last);
    turn(old, old, place);
    virtio_gpu_blob_losses_forget(&world.mappings.losses, old);
    return true;
}

void double_lose(VirtIOGPUBlobPlace *place)
{
    Resource *r = resource_of(mapping_of(place));

    if (!place->lost) {
        r->vanished = true;
        virtio_gpu_blob_losses_add(&world.mappings.losses, place);
    }
}

void virtio_gpu_blob_window_look(VirtIOGPUBlobWindow *w,
                                 const VirtIOGPUBlobPlace *place)
{
    g_assert(world.at[first_page(place)] == place);
    world.looks++;
}

/* Those that begin at an odd page have gone. */
void virtio_gpu_blob_window_touch(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool write)
{
    const Resource *r = resource_of(mapping_of(place));

    g_assert(world.at[first_page(place)] == place);
    g_assert(write == (r->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF &&
                       r->map_info == VIRTIO_GPU_MAP_CACHE_CACHED));
    if (first_page(place) % 2) {
        double_lose(place);
    }
}

void virtio_gpu_blob_window_lost(VirtIOGPUBlobWindow *w,
                                 VirtIOGPUBlobPlace *place)
{
    g_assert(world.at[first_page(place)] == place);
    g_assert(place->lost);
    resource_of(mapping_of(place))->covered = true;
}

bool virtio_gpu_blob_window_cover(VirtIOGPUBlobWindow *w, void *at,
                                  uint64_t len)
{
    return true;
}

void virtio_gpu_blob_window_trim(VirtIOGPUBlobWindow *w)
{
}

VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size,
                                                VirtIOGPUBlobLosses *losses,
                                                Error **errp)
{
    return (VirtIOGPUBlobWindow *)&world.at;
}

void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w)
{
}

/*
 * Regions
 */

void virtio_gpu_blob_regions_init(VirtIOGPUBlobRegions *regions,
                                  DeviceState *dev, MemoryRegion *container,
                                  VirtIOGPUBlobReturned *returned,
                                  VirtIOGPUBlobLosses *losses,
                                  VirtIOGPUBlobCover *cover, void *opaque)
{
    regions->returned = returned;
}

void virtio_gpu_blob_regions_destroy(VirtIOGPUBlobRegions *regions)
{
}

bool virtio_gpu_blob_regions_are_at(VirtIOGPUBlobRegions *regions,
                                    const VirtIOGPUBlobPlace *place)
{
    const VirtIOGPUBlobRegion *r;

    QTAILQ_FOREACH(r, &world.regions, next) {
        if (r->place && r->place->node.start <= place->node.last &&
            place->node.start <= r->place->node.last) {
            return true;
        }
    }
    return false;
}

static VirtIOGPUBlobReason region_show(VirtIOGPUBlobPlace *place, bool is_loan,
                                       void *opaque,
                                       VirtIOGPUBlobRegion **shown)
{
    if (fails(&world.region_fails)) {
        return VIRTIO_GPU_BLOB_REGION_LIMIT;
    }
    g_assert(!virtio_gpu_blob_window_is_taken(NULL, place));
    g_assert(!virtio_gpu_blob_regions_are_at(NULL, place));
    *shown = g_new0(VirtIOGPUBlobRegion, 1);
    (*shown)->place = place;
    (*shown)->is_loan = is_loan;
    (*shown)->opaque = opaque;
    QTAILQ_INSERT_TAIL(&world.regions, *shown, next);
    return VIRTIO_GPU_BLOB_OK;
}

VirtIOGPUBlobReason
virtio_gpu_blob_region_show_fd(VirtIOGPUBlobRegions *regions, int fd,
                               VirtIOGPUBlobPlace *place,
                               VirtIOGPUBlobRegion **shown)
{
    return region_show(place, false, NULL, shown);
}

VirtIOGPUBlobReason
virtio_gpu_blob_region_show_loan(VirtIOGPUBlobRegions *regions,
                                 uint32_t resource_id, uint64_t size,
                                 VirtIOGPUBlobPlace *place, void *opaque,
                                 VirtIOGPUBlobRegion **shown)
{
    return region_show(place, true, opaque, shown);
}

void virtio_gpu_blob_region_look(VirtIOGPUBlobRegion *region)
{
    g_assert(region->place);
    world.looks++;
}

void virtio_gpu_blob_region_touch(VirtIOGPUBlobRegion *region)
{
    g_assert(region->place);
    if (first_page(region->place) % 2) {
        double_lose(region->place);
    }
}

void double_free_region(VirtIOGPUBlobRegion *region)
{
    QTAILQ_REMOVE(&world.regions, region, next);
    g_free(region);
}

bool virtio_gpu_blob_region_hide(VirtIOGPUBlobRegion *region,
                                 VirtIOGPUBlobPlace *place)
{
    g_assert(region->place == place);
    virtio_gpu_blob_losses_forget(&world.mappings.losses, place);
    region->place = NULL;
    if (region->is_loan) {
        world.mappings.regions.leaving++;
        return false;
    }
    double_free_region(region);
    return true;
}

void *virtio_gpu_blob_fixed_map(uint32_t resource_id, uint64_t len)
{
    return world.fixed ? &world : NULL;
}

/*
 * QEMU
 */

bool kvm_allowed;

QEMUBH *virtio_bh_io_new_guarded_full(DeviceState *dev, QEMUBHFunc *cb,
                                      void *opaque, const char *name)
{
    return NULL;
}

/* What a signal handler says is heard with the next command. */
void qemu_bh_schedule(QEMUBH *bh)
{
}

void qemu_bh_delete(QEMUBH *bh)
{
}

struct virtio_gpu_virgl_resource *
virtio_gpu_virgl_find_resource(VirtIOGPU *g, uint32_t resource_id)
{
    return world.of[resource_id].res;
}

void virtio_gpu_virgl_detach_backing(VirtIOGPU *g, uint32_t resource_id)
{
    world.of[resource_id].detached = true;
}

/* When its memory is back, and before anything else has its name */
void virtio_gpu_virgl_release(VirtIOGPU *g, uint32_t resource_id)
{
    g_assert(world.of[resource_id].orphan);
    g_assert(world.of[resource_id].detached);
    world.of[resource_id].orphan = false;
    world.of[resource_id].detached = false;
}
