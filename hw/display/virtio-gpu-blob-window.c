/*
 * virtio-gpu blob mappings: the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One RAM region covers the whole window for as long as the device lives.
 * Buffers come and go by mmap(MAP_FIXED) below it, so that neither the flat
 * view nor a memory slot ever changes.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/rcu.h"
#include "hw/boards.h"
#include "trace.h"
#include "virtio-gpu-blob-holes.h"
#include "virtio-gpu-blob-pages.h"
#include "virtio-gpu-blob-window.h"

/*
 * Mappings that are left to the rest of QEMU and to the renderer: a thread
 * that cannot get its stack aborts QEMU.
 */
#define MAPPINGS_LEFT 4096

struct VirtIOGPUBlobWindow {
    Object parent_obj;

    MemoryRegion mr;
    MemoryRegion *container;
    bool coordinated;
    uint64_t mappings_max;
    VirtIOGPUBlobHoles holes;
    VirtIOGPUBlobPages pages;
};

/* What must outlive the region until no reader of a flat view is left */
typedef struct WindowMemory {
    struct rcu_head rcu;
    void *base;
    size_t size;
} WindowMemory;

/*
 * RamDiscardManager
 */

/*
 * Blobs come and go as wholes.  A listener that cuts at multiples of this
 * cuts none, and needs no more mappings than there are blobs: VFIO aborts
 * QEMU over a window that could need too many.
 */
static uint64_t window_rdm_get_min_granularity(const RamDiscardManager *rdm,
                                               const MemoryRegion *mr)
{
    return VIRTIO_GPU_BLOB_WINDOW(rdm)->holes.size;
}

static bool window_rdm_is_populated(const RamDiscardManager *rdm,
                                    const MemoryRegionSection *s)
{
    return virtio_gpu_blob_pages_is_populated(
        &VIRTIO_GPU_BLOB_WINDOW(rdm)->pages, s);
}

static int window_rdm_replay_populated(const RamDiscardManager *rdm,
                                       MemoryRegionSection *s,
                                       VirtIOGPUBlobReplayPopulated replay_fn,
                                       void *opaque)
{
    return virtio_gpu_blob_pages_replay(&VIRTIO_GPU_BLOB_WINDOW(rdm)->pages,
                                        s, true, replay_fn, opaque);
}

typedef struct WindowReplay {
    VirtIOGPUBlobReplayDiscarded fn;
    void *opaque;
} WindowReplay;

static int window_replay_discarded_cb(MemoryRegionSection *run, void *opaque)
{
    WindowReplay *replay = opaque;

    return virtio_gpu_blob_call_discarded(replay->fn, run, replay->opaque);
}

static VirtIOGPUBlobReplayResult
window_rdm_replay_discarded(const RamDiscardManager *rdm,
                            MemoryRegionSection *s,
                            VirtIOGPUBlobReplayDiscarded replay_fn,
                            void *opaque)
{
    WindowReplay replay = { .fn = replay_fn, .opaque = opaque };
    int ret;

    ret = virtio_gpu_blob_pages_replay(&VIRTIO_GPU_BLOB_WINDOW(rdm)->pages,
                                       s, false, window_replay_discarded_cb,
                                       &replay);
    return VIRTIO_GPU_BLOB_REPLAY_RESULT(ret);
}

static void window_rdm_register_listener(RamDiscardManager *rdm,
                                         RamDiscardListener *rdl,
                                         MemoryRegionSection *s)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(rdm);

    if (virtio_gpu_blob_pages_listen(&w->pages, rdl, s)) {
        error_report_once("virtio-gpu: a device cannot reach all mapped "
                          "blobs");
    }
}

static void window_rdm_unregister_listener(RamDiscardManager *rdm,
                                           RamDiscardListener *rdl)
{
    virtio_gpu_blob_pages_unlisten(&VIRTIO_GPU_BLOB_WINDOW(rdm)->pages, rdl);
}

/*
 * Map and unmap
 */

static bool has_mappings(const VirtIOGPUBlobWindow *w)
{
    return w->pages.count + w->pages.holes +
           virtio_gpu_blob_holes_mappings(&w->holes) < w->mappings_max;
}

/* Rather a slow map than one that is refused */
static bool window_has_mappings(VirtIOGPUBlobWindow *w)
{
    if (!has_mappings(w)) {
        virtio_gpu_blob_holes_tidy(&w->holes);
    }
    return has_mappings(w);
}

/*
 * Whoever needs all memory pinned cannot live with what happens here, and
 * the other way round; ask only while something is mapped.
 */
static bool window_may_change(VirtIOGPUBlobWindow *w)
{
    if (!virtio_gpu_blob_pages_have_room(&w->pages)) {
        return false;
    }
    w->coordinated = w->coordinated ||
                     !ram_block_coordinated_discard_require(true);
    return w->coordinated;
}

static void window_changed(VirtIOGPUBlobWindow *w)
{
    if (w->coordinated && !w->pages.count) {
        ram_block_coordinated_discard_require(false);
        w->coordinated = false;
    }
}

static int window_place(VirtIOGPUBlobWindow *w, int fd,
                        uint64_t offset, uint64_t len)
{
    int ret = virtio_gpu_blob_holes_fill(&w->holes, fd, offset, len);

    if (ret) {
        return ret;
    }
    if (!virtio_gpu_blob_pages_populate(&w->pages, offset, len)) {
        virtio_gpu_blob_holes_mend(&w->holes, offset, len);
        return -EBUSY;
    }
    return 0;
}

int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w, int fd,
                               uint64_t offset, uint64_t len)
{
    int ret;

    if (!window_has_mappings(w)) {
        return -ENOMEM;
    }
    if (!window_may_change(w)) {
        return -EBUSY;
    }
    ret = window_place(w, fd, offset, len);
    window_changed(w);
    return ret;
}

bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  uint64_t offset, uint64_t len)
{
    virtio_gpu_blob_pages_discard(&w->pages, offset, len);
    if (!virtio_gpu_blob_holes_leave(&w->holes, offset, len)) {
        virtio_gpu_blob_pages_populate(&w->pages, offset, len);
        return false;
    }
    window_changed(w);
    return true;
}

void virtio_gpu_blob_window_drop(VirtIOGPUBlobWindow *w,
                                 uint64_t offset, uint64_t len)
{
    virtio_gpu_blob_pages_discard(&w->pages, offset, len);
    virtio_gpu_blob_holes_mend(&w->holes, offset, len);
    window_changed(w);
}

void virtio_gpu_blob_window_trim(VirtIOGPUBlobWindow *w)
{
    virtio_gpu_blob_holes_trim(&w->holes);
}

/*
 * Life
 */

static uint64_t mappings_for_window(void)
{
    g_autofree char *text = NULL;
    uint64_t n = UINT64_MAX;

    /* GCOVR_EXCL_BR_START: every Linux has it */
    if (g_file_get_contents("/proc/sys/vm/max_map_count", &text, NULL, NULL)) {
        n = g_ascii_strtoull(text, NULL, 10);
    }
    /* GCOVR_EXCL_BR_STOP */
    return n - MIN(n / 2, MAPPINGS_LEFT);
}

VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size, Error **errp)
{
    ERRP_GUARD(); /* GCOVR_EXCL_BR_LINE: the macro's own */
    Object *obj = object_new(TYPE_VIRTIO_GPU_BLOB_WINDOW);
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    w->mappings_max = mappings_for_window();
    if (!virtio_gpu_blob_holes_init(&w->holes, size,
                                    machine_dump_guest_core(current_machine),
                                    errp)) {
        object_unref(obj);
        return NULL;
    }
    virtio_gpu_blob_pages_init(&w->pages, size, w->holes.page_size);
    object_property_add_child(owner, "blob-window", obj);
    object_unref(obj);

    memory_region_init_ram_ptr(&w->mr, obj, "virtio-gpu-blob-window", size,
                               w->holes.base);
    /* A new RAM block is madvise()d; holes merge only if all are alike. */
    virtio_gpu_blob_holes_mend(&w->holes, 0, size);
    memory_region_set_ram_discard_manager(&w->mr, RAM_DISCARD_MANAGER(w));
    w->container = container;
    memory_region_add_subregion(container, 0, &w->mr);
    trace_virtio_gpu_blob_window(size, w->holes.period);
    return w;
}

void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w)
{
    memory_region_del_subregion(w->container, &w->mr);
    memory_region_set_ram_discard_manager(&w->mr, NULL);
    object_unparent(OBJECT(w));
}

/* GCOVR_EXCL_START: QEMU ends before the grace period does */
static void window_free_memory(WindowMemory *memory)
{
    munmap(memory->base, memory->size);
    g_free(memory);
}
/* GCOVR_EXCL_STOP */

static void window_init(Object *obj)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    w->holes.fd = -1;
}

static void window_finalize(Object *obj)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    if (w->holes.base) {
        WindowMemory *memory = g_new0(WindowMemory, 1);

        memory->base = w->holes.base;
        memory->size = w->holes.size;
        call_rcu(memory, window_free_memory, rcu);
    }
    virtio_gpu_blob_holes_destroy(&w->holes);
    virtio_gpu_blob_pages_destroy(&w->pages);
}

static void window_class_init(ObjectClass *oc, VirtIOGPUBlobClassData data)
{
    RamDiscardManagerClass *rdmc = RAM_DISCARD_MANAGER_CLASS(oc);

    rdmc->get_min_granularity = window_rdm_get_min_granularity;
    rdmc->is_populated = window_rdm_is_populated;
    rdmc->replay_populated = window_rdm_replay_populated;
    rdmc->replay_discarded = window_rdm_replay_discarded;
    rdmc->register_listener = window_rdm_register_listener;
    rdmc->unregister_listener = window_rdm_unregister_listener;
}

static const TypeInfo window_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_WINDOW,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobWindow),
    .instance_init = window_init,
    .instance_finalize = window_finalize,
    .class_init = window_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_RAM_DISCARD_MANAGER },
        { }
    },
};

static void window_register_types(void)
{
    type_register_static(&window_info);
}

type_init(window_register_types)
