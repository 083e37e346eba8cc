/*
 * virtio-gpu blob mappings: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/rcu.h"
#include "hw/boards.h"
#include "system/kvm.h"
#include "trace.h"
#include "virtio-gpu-blob-aside.h"
#include "virtio-gpu-blob-holes.h"
#include "virtio-gpu-blob-limits.h"
#include "virtio-gpu-blob-rdm.h"
#include "virtio-gpu-blob-window.h"

struct VirtIOGPUBlobWindow {
    Object parent_obj;

    MemoryRegion mr;
    MemoryRegion *container;
    uint64_t mappings_max;
    VirtIOGPUBlobHoles holes;
    VirtIOGPUBlobAside aside;
    VirtIOGPUBlobRDM *rdm;
};

/* What must outlive the region until no reader of a flat view is left */
typedef struct WindowMemory {
    struct rcu_head rcu;
    void *base;
    size_t size;
} WindowMemory;

/*
 * Map and unmap
 */

static bool has_mappings(const VirtIOGPUBlobWindow *w)
{
    return virtio_gpu_blob_holes_mappings(&w->holes) < w->mappings_max;
}

/* Rather a slow map than one that is refused */
static bool window_has_mappings(VirtIOGPUBlobWindow *w)
{
    if (!has_mappings(w)) {
        virtio_gpu_blob_holes_tidy(&w->holes);
    }
    return has_mappings(w);
}

bool virtio_gpu_blob_window_is_taken(VirtIOGPUBlobWindow *w,
                                     const VirtIOGPUBlobPlace *place)
{
    return interval_tree_iter_first(&w->holes.filled, place->node.start,
                                    place->node.last);
}

/*
 * The buffer is there before it is announced.  A dma-buf is not: its pages may
 * move or go, and a device that found them would write to them all the same.
 */
static int window_place(VirtIOGPUBlobWindow *w, int fd, bool shm,
                        VirtIOGPUBlobPlace *place)
{
    int ret;

    if (!shm && !virtio_gpu_blob_aside_keep(&w->aside, place, fd)) {
        return -EMFILE;
    }
    ret = virtio_gpu_blob_holes_fill(&w->holes, fd, shm, place);
    if (ret) {
        virtio_gpu_blob_aside_drop(&w->aside, place);
        return ret;
    }
    if (shm && !virtio_gpu_blob_rdm_populate(w->rdm, place)) {
        virtio_gpu_blob_holes_close(&w->holes, place);
        return -EBUSY;
    }
    return 0;
}

int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w, int fd, bool shm,
                               VirtIOGPUBlobPlace *place)
{
    int ret = -EBUSY;

    if (!window_has_mappings(w)) {
        return -ENOMEM;
    }
    if (virtio_gpu_blob_rdm_begin(w->rdm, shm)) {
        ret = window_place(w, fd, shm, place);
    }
    virtio_gpu_blob_rdm_end(w->rdm);
    return ret;
}

bool virtio_gpu_blob_window_move_in(VirtIOGPUBlobWindow *w, void *apart,
                                    VirtIOGPUBlobPlace *place)
{
    bool done = false;

    if (window_has_mappings(w) && virtio_gpu_blob_rdm_begin(w->rdm, false)) {
        done = !virtio_gpu_blob_holes_fill_moved(&w->holes, apart, place);
    } else {
        munmap(apart, virtio_gpu_blob_place_len(place));
    }
    virtio_gpu_blob_rdm_end(w->rdm);
    return done;
}

/* It is announced that the buffer goes before it does. */
bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool final)
{
    bool announced = place->announced;

    virtio_gpu_blob_rdm_discard(w->rdm, place);
    if (final) {
        virtio_gpu_blob_holes_close(&w->holes, place);
    } else if (!virtio_gpu_blob_holes_leave(&w->holes, place)) {
        if (announced) {
            virtio_gpu_blob_rdm_populate(w->rdm, place);
        }
        return false;
    }
    virtio_gpu_blob_aside_drop(&w->aside, place);
    virtio_gpu_blob_rdm_end(w->rdm);
    return true;
}

unsigned virtio_gpu_blob_window_run(const VirtIOGPUBlobWindow *w,
                                    VirtIOGPUBlobPlace *const *places,
                                    unsigned n)
{
    return virtio_gpu_blob_holes_run(&w->holes, places, n);
}

static void announce_again(VirtIOGPUBlobWindow *w,
                           VirtIOGPUBlobPlace *const *places,
                           const bool *announced, unsigned n)
{
    unsigned i;

    for (i = 0; i < n; i++) {
        if (announced[i]) {
            virtio_gpu_blob_rdm_populate(w->rdm, places[i]);
        }
    }
}

bool virtio_gpu_blob_window_unmap_run(VirtIOGPUBlobWindow *w,
                                      VirtIOGPUBlobPlace *const *places,
                                      unsigned n)
{
    g_autofree bool *announced = g_new(bool, n);
    unsigned i;

    for (i = 0; i < n; i++) {
        announced[i] = places[i]->announced;
        virtio_gpu_blob_rdm_discard(w->rdm, places[i]);
    }
    if (!virtio_gpu_blob_holes_leave_run(&w->holes, places, n)) {
        announce_again(w, places, announced, n);
        return false;
    }
    for (i = 0; i < n; i++) {
        virtio_gpu_blob_aside_drop(&w->aside, places[i]);
    }
    virtio_gpu_blob_rdm_end(w->rdm);
    return true;
}

bool virtio_gpu_blob_window_replace(VirtIOGPUBlobWindow *w, int fd, bool shm,
                                    VirtIOGPUBlobPlace *old,
                                    VirtIOGPUBlobPlace *place)
{
    if (virtio_gpu_blob_rdm_is_watched(w->rdm) ||
        (!shm && !virtio_gpu_blob_aside_keep(&w->aside, place, fd))) {
        return false;
    }
    if (virtio_gpu_blob_holes_replace(&w->holes, fd, shm, old, place)) {
        virtio_gpu_blob_aside_drop(&w->aside, place);
        return false;
    }
    virtio_gpu_blob_aside_drop(&w->aside, old);
    /* Nobody hears of it, but who comes later will be told. */
    virtio_gpu_blob_rdm_discard(w->rdm, old);
    if (shm) {
        virtio_gpu_blob_rdm_populate(w->rdm, place);
    }
    return true;
}

/*
 * Buffers that lose their pages
 */

void virtio_gpu_blob_window_look(VirtIOGPUBlobWindow *w,
                                 const VirtIOGPUBlobPlace *place)
{
    virtio_gpu_blob_look(w->holes.base + virtio_gpu_blob_place_offset(place),
                         virtio_gpu_blob_place_len(place));
}

void virtio_gpu_blob_window_touch(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobPlace *place, bool write)
{
    virtio_gpu_blob_touch(w->holes.base + virtio_gpu_blob_place_offset(place),
                          virtio_gpu_blob_place_len(place), write,
                          &place->lost);
}

void virtio_gpu_blob_window_lost(VirtIOGPUBlobWindow *w,
                                 VirtIOGPUBlobPlace *place)
{
    virtio_gpu_blob_aside_drop(&w->aside, place);
    virtio_gpu_blob_rdm_discard(w->rdm, place);
}

bool virtio_gpu_blob_window_cover(VirtIOGPUBlobWindow *w, void *at,
                                  uint64_t len)
{
    return virtio_gpu_blob_holes_show(&w->holes, at, len);
}

uint64_t virtio_gpu_blob_window_mappings(const VirtIOGPUBlobWindow *w,
                                         uint64_t *max)
{
    *max = w->mappings_max;
    return virtio_gpu_blob_holes_mappings(&w->holes);
}

void virtio_gpu_blob_window_trim(VirtIOGPUBlobWindow *w)
{
    virtio_gpu_blob_holes_trim(&w->holes);
}

/*
 * Life
 */

VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size,
                                                VirtIOGPUBlobLosses *losses,
                                                Error **errp)
{
    Object *obj = object_new(TYPE_VIRTIO_GPU_BLOB_WINDOW);
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);
    bool slots = kvm_enabled();

    w->mappings_max = virtio_gpu_blob_limits_mappings();
    if (!virtio_gpu_blob_limits_check(size, slots, w->mappings_max, errp) ||
        !virtio_gpu_blob_holes_init(&w->holes, size,
                                    machine_dump_guest_core(current_machine),
                                    losses, errp)) {
        object_unref(obj);
        return NULL;
    }
    w->rdm = virtio_gpu_blob_rdm_new(size, &w->holes.filled);
    object_property_add_child(owner, "blob-window", obj);
    object_unref(obj);

    memory_region_init_ram_ptr(&w->mr, obj, "virtio-gpu-blob-window", size,
                               w->holes.base);
    /* A new RAM block is madvise()d; holes merge only if all are alike. */
    virtio_gpu_blob_holes_renew(&w->holes);
    virtio_gpu_blob_rdm_attach(w->rdm, &w->mr);
    w->container = container;
    if (slots) {
        virtio_gpu_blob_aside_init(&w->aside, &w->mr, &w->holes);
    }
    memory_region_add_subregion(container, 0, &w->mr);
    trace_virtio_gpu_blob_window(size, w->holes.period);
    return w;
}

void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w)
{
    memory_region_del_subregion(w->container, &w->mr);
    virtio_gpu_blob_aside_destroy(&w->aside);
    virtio_gpu_blob_rdm_detach(&w->mr);
    object_unparent(OBJECT(w));
}

static void window_free_memory(WindowMemory *memory)
{
    munmap(memory->base, memory->size);
    g_free(memory);
}

static void window_init(Object *obj)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    w->holes.fd = -1;
}

static void window_finalize(Object *obj)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    if (w->holes.reserved) {
        WindowMemory *memory = g_new0(WindowMemory, 1);

        memory->base = w->holes.reserved;
        memory->size = w->holes.reserved_len;
        call_rcu(memory, window_free_memory, rcu);
    }
    virtio_gpu_blob_holes_destroy(&w->holes);
    object_unref(w->rdm);
}

static const TypeInfo window_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_WINDOW,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobWindow),
    .instance_init = window_init,
    .instance_finalize = window_finalize,
};

static void window_register_types(void)
{
    type_register_static(&window_info);
}

type_init(window_register_types)
