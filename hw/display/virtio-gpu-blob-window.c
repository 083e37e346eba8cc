/*
 * virtio-gpu blob mappings: the RAM region over the host-visible window
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One RAM region covers the whole window for as long as the device lives.
 * Buffers are mapped and unmapped below it (virtio-gpu-blob-vma.h), so that
 * neither the flat view nor a memory slot changes with them.
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qemu/atomic.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "system/accel-blocker.h"
#include "system/kvm.h"
#include "trace.h"
#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-internal.h"

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/address-spaces.h"
#include "system/ramblock.h"
#else
#include "exec/address-spaces.h"
#include "exec/ramblock.h"
#endif

#define TYPE_VIRTIO_GPU_BLOB_WINDOW "virtio-gpu-blob-window"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobWindow, VIRTIO_GPU_BLOB_WINDOW)

struct VirtIOGPUBlobWindow {
    Object parent_obj;

    MemoryRegion mr;
    MemoryRegion *container;
    VirtIOGPUBlobVMA vma;
    VirtIOGPUBlobGapRange gap;  /* registered if vma.direct */

    /* Used only if KVM checks mappings when it creates a memory slot */
    bool slot_checks;
    MemoryListener before_slots;
    MemoryListener after_slots;
    size_t handles;             /* file descriptors kept in places */
    bool aside;                 /* buffers with a handle are not mapped now */
    size_t not_back;            /* could not be mapped again, last time */
    int64_t ns;                 /* duration, last time */
};

VirtIOGPUBlobVMA *virtio_gpu_blob_window_vma(VirtIOGPUBlobWindow *w)
{
    return &w->vma;
}

/*
 * Map and unmap
 */

static void drop_handle(VirtIOGPUBlobWindow *w, VirtIOGPUBlobPlace *place)
{
    if (place->fd >= 0) {
        close(place->fd);
        place->fd = -1;
        w->handles--;
    }
}

/* A gap may be there in between; another thread that meets it waits. */
static void begin_replace(VirtIOGPUBlobWindow *w)
{
    if (w->vma.direct) {
        virtio_gpu_blob_lost_begin_replace(&w->gap);
    }
}

static void end_replace(VirtIOGPUBlobWindow *w)
{
    if (w->vma.direct) {
        virtio_gpu_blob_lost_end_replace(&w->gap);
    } else {
        virtio_gpu_blob_lost_changed();
    }
}

/*
 * The signal handlers must know the pages before the buffer is mapped, and
 * until a hole is mapped again.
 */
static void begin_map(VirtIOGPUBlobWindow *w, VirtIOGPUBlobMapping *m)
{
    virtio_gpu_blob_lost_add(&m->pages, &m->blobs->lost,
                             virtio_gpu_blob_vma_at(&w->vma, &m->place),
                             virtio_gpu_blob_place_len(&m->place));
    begin_replace(w);
}

static void release(VirtIOGPUBlobWindow *w, VirtIOGPUBlobMapping *m)
{
    virtio_gpu_blob_lost_remove(&m->pages);
    drop_handle(w, &m->place);
    ram_block_coordinated_discard_require(false);
}

static int end_map(VirtIOGPUBlobWindow *w, VirtIOGPUBlobMapping *m, int ret)
{
    end_replace(w);
    if (ret && !m->place.stale) {
        release(w, m);
    }
    return ret;
}

int virtio_gpu_blob_window_map(VirtIOGPUBlobWindow *w,
                               VirtIOGPUBlobMapping *m, int fd)
{
    /*
     * Fails while a device needs all RAM pinned; while it is held, no such
     * device can be added.
     */
    if (ram_block_coordinated_discard_require(true)) {
        return -EBUSY;
    }
    if (w->slot_checks && m->backing == VIRTIO_GPU_BLOB_BACKING_DMABUF) {
        m->place.fd = qemu_dup(fd);
        if (m->place.fd < 0) {
            ram_block_coordinated_discard_require(false);
            return -EMFILE;
        }
        w->handles++;
    }
    begin_map(w, m);
    return end_map(w, m, virtio_gpu_blob_vma_map(&w->vma, &m->place, fd));
}

int virtio_gpu_blob_window_move(VirtIOGPUBlobWindow *w,
                                VirtIOGPUBlobMapping *m, void *from)
{
    if (ram_block_coordinated_discard_require(true)) {
        return -EBUSY;
    }
    begin_map(w, m);
    return end_map(w, m, virtio_gpu_blob_vma_move(&w->vma, &m->place, from));
}

bool virtio_gpu_blob_window_unmap(VirtIOGPUBlobWindow *w,
                                  VirtIOGPUBlobMapping *m)
{
    bool unmapped;

    begin_replace(w);
    unmapped = virtio_gpu_blob_vma_unmap(&w->vma, &m->place);
    end_replace(w);
    if (unmapped) {
        release(w, m);
    }
    return unmapped;
}

void virtio_gpu_blob_window_drop_handle(VirtIOGPUBlobWindow *w,
                                        VirtIOGPUBlobMapping *m)
{
    drop_handle(w, &m->place);
}

/*
 * The RamDiscardManager of the window and of regions
 */

/* QEMU 10.1 let the callback of replay_discarded() fail. */
#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
typedef ReplayRamDiscardState ReplayPopulated;
typedef ReplayRamDiscardState ReplayDiscarded;
typedef int ReplayResult;
#else
typedef ReplayRamPopulate ReplayPopulated;
typedef ReplayRamDiscard ReplayDiscarded;
typedef void ReplayResult;
#endif

static uint64_t get_min_granularity(const RamDiscardManager *rdm,
                                    const MemoryRegion *mr)
{
    return qemu_real_host_page_size();
}

static bool is_populated(const RamDiscardManager *rdm,
                         const MemoryRegionSection *section)
{
    return false;
}

static int replay_populated(const RamDiscardManager *rdm,
                            MemoryRegionSection *section, ReplayPopulated fn,
                            void *opaque)
{
    return 0;
}

static ReplayResult replay_discarded(const RamDiscardManager *rdm,
                                     MemoryRegionSection *section,
                                     ReplayDiscarded fn, void *opaque)
{
    return fn(section, opaque);
}

/* A listener would never be notified, so none is recorded. */
static void register_listener(RamDiscardManager *rdm, RamDiscardListener *rdl,
                              MemoryRegionSection *section)
{
}

static void unregister_listener(RamDiscardManager *rdm,
                                RamDiscardListener *rdl)
{
}

void virtio_gpu_blob_discard_class_init(ObjectClass *oc)
{
    RamDiscardManagerClass *rdmc = RAM_DISCARD_MANAGER_CLASS(oc);

    rdmc->get_min_granularity = get_min_granularity;
    rdmc->is_populated = is_populated;
    rdmc->replay_populated = replay_populated;
    rdmc->replay_discarded = replay_discarded;
    rdmc->register_listener = register_listener;
    rdmc->unregister_listener = unregister_listener;
}

void virtio_gpu_blob_hide_ram(MemoryRegion *mr)
{
    /* memory_region_init_ram_ptr() takes no flags. */
    mr->ram_block->flags |= RAM_PROTECTED;
    memory_region_set_ram_discard_manager(mr, RAM_DISCARD_MANAGER(mr->owner));
}

/*
 * Memory slots
 *
 * KVM creates the memory slot of the window anew when the guest moves the BAR
 * or enables memory decoding, and when QEMU adds a region to the window.  From
 * Linux 6.17 on, KVM on arm64 refuses a slot over VM_PFNMAP mappings, such as
 * dma-bufs (kvm_arch_prepare_memory_region()), and QEMU aborts.  Before Linux
 * 6.18, KVM on riscv64 maps unrelated physical memory.  So on all hosts but x86
 * other memory replaces dma-bufs before KVM sees the change, and dma-bufs are
 * mapped again after it, with a file descriptor that is kept for each.  No vCPU
 * runs meanwhile, as what it writes would be lost.  Other threads of QEMU may
 * see that memory.
 */

/*
 * A vCPU that was kicked needs the BQL before it enters the guest again, and
 * the BQL is held until the guest's memory is complete.  KVM's own listener
 * waits for vCPUs in the same way, but only while it creates slots, and
 * accel_ioctl_inhibit_begin() does not nest.
 */
static void stop_vcpus(void)
{
    CPUState *cpu;

    accel_ioctl_inhibit_begin();
    CPU_FOREACH(cpu) {
        if (cpu->created) {
            qemu_cpu_kick(cpu);
        }
    }
    accel_ioctl_inhibit_end();
}

static VirtIOGPUBlobMapping *mapping_of(IntervalTreeNode *node)
{
    return container_of(node, VirtIOGPUBlobMapping, place.node);
}

static void set_aside(VirtIOGPUBlobWindow *w, VirtIOGPUBlobMapping *m)
{
    if (!virtio_gpu_blob_vma_set_aside(&w->vma, &m->place)) {
        error_report("virtio-gpu: no memory to take blob resource %" PRIu32
                     " out of the window while KVM makes a memory slot",
                     m->resource_id);
    }
}

/* The driver may refuse to map the buffer again.  Then a hole stays there. */
static void put_back(VirtIOGPUBlobWindow *w, VirtIOGPUBlobMapping *m)
{
    if (virtio_gpu_blob_vma_put_back(&w->vma, &m->place)) {
        drop_handle(w, &m->place);
        virtio_gpu_blob_lost_mark(&m->pages);
        w->not_back++;
    } else {
        virtio_gpu_blob_lost_recheck(&m->pages);
    }
}

static void move_all(VirtIOGPUBlobWindow *w, bool out)
{
    int64_t start = get_clock();
    IntervalTreeNode *node;

    for (node = interval_tree_iter_first(&w->vma.places, 0, UINT64_MAX); node;
         node = interval_tree_iter_next(node, 0, UINT64_MAX)) {
        VirtIOGPUBlobMapping *m = mapping_of(node);

        if (m->place.fd < 0 || qatomic_read(&m->pages.lost) ||
            (!out && m->place.stale)) {
            continue;
        }
        if (out) {
            set_aside(w, m);
        } else {
            put_back(w, m);
        }
    }
    w->ns += get_clock() - start;
}

/* Called before KVM's listener creates slots, which it does when it commits */
static void before_slots(MemoryListener *listener,
                         MemoryRegionSection *section)
{
    VirtIOGPUBlobWindow *w = container_of(listener, VirtIOGPUBlobWindow,
                                          before_slots);

    if (section->mr != &w->mr || !w->handles || w->aside) {
        return;
    }
    w->aside = true;
    w->not_back = w->ns = 0;
    stop_vcpus();
    move_all(w, true);
}

/*
 * Called after KVM has created its slots, when the guest's memory is complete
 */
static void after_slots(MemoryListener *listener)
{
    VirtIOGPUBlobWindow *w = container_of(listener, VirtIOGPUBlobWindow,
                                          after_slots);

    if (!w->aside) {
        return;
    }
    move_all(w, false);
    w->aside = false;
    trace_virtio_gpu_blob_aside(w->handles, w->not_back, w->ns);
}

static void listen_to_slots(VirtIOGPUBlobWindow *w)
{
    w->slot_checks = true;
    w->before_slots = (MemoryListener) {
        .name = "virtio-gpu-blob-before",
        .priority = MEMORY_LISTENER_PRIORITY_MIN,
        .region_add = before_slots,
    };
    w->after_slots = (MemoryListener) {
        .name = "virtio-gpu-blob-after",
        .priority = MEMORY_LISTENER_PRIORITY_ACCEL + 1,
        .commit = after_slots,
    };
    memory_listener_register(&w->before_slots, &address_space_memory);
    memory_listener_register(&w->after_slots, &address_space_memory);
}

/*
 * Realize and unrealize
 */

VirtIOGPUBlobWindow *virtio_gpu_blob_window_new(Object *owner,
                                                MemoryRegion *container,
                                                uint64_t size, bool direct,
                                                bool slot_checks, Error **errp)
{
    bool dump = machine_dump_guest_core(current_machine);
    VirtIOGPUBlobWindow *w;
    Object *obj;

    if (!virtio_gpu_blob_vma_check(size, kvm_enabled(),
                                   virtio_gpu_blob_vma_max_mappings(), errp)) {
        return NULL;
    }
    obj = object_new(TYPE_VIRTIO_GPU_BLOB_WINDOW);
    w = VIRTIO_GPU_BLOB_WINDOW(obj);
    if (!virtio_gpu_blob_vma_init(&w->vma, size, dump, direct, errp)) {
        object_unref(obj);
        return NULL;
    }
    if (w->vma.direct) {
        virtio_gpu_blob_lost_add_window(&w->gap, w->vma.base, size);
    }
    object_property_add_child(owner, "blob-window", obj);
    object_unref(obj);

    memory_region_init_ram_ptr(&w->mr, obj, "virtio-gpu-blob-window", size,
                               w->vma.base);
    /*
     * memory_region_init_ram_ptr() has set flags of the whole range by
     * madvise().
     */
    virtio_gpu_blob_vma_map_all_holes(&w->vma);
    virtio_gpu_blob_hide_ram(&w->mr);
    w->container = container;
    if (slot_checks) {
        listen_to_slots(w);
    }
    memory_region_add_subregion(container, 0, &w->mr);
    trace_virtio_gpu_blob_window(size, w->vma.hole_len);
    return w;
}

void virtio_gpu_blob_window_delete(VirtIOGPUBlobWindow *w)
{
    memory_region_del_subregion(w->container, &w->mr);
    if (w->slot_checks) {
        memory_listener_unregister(&w->before_slots);
        memory_listener_unregister(&w->after_slots);
    }
    memory_region_set_ram_discard_manager(&w->mr, NULL);
    object_unparent(OBJECT(w));
}

static void window_finalize(Object *obj)
{
    VirtIOGPUBlobWindow *w = VIRTIO_GPU_BLOB_WINDOW(obj);

    if (w->gap.range.last) {
        virtio_gpu_blob_lost_remove_window(&w->gap);
    }
    virtio_gpu_blob_vma_destroy(&w->vma);
}

static void window_class_init(ObjectClass *oc, VirtIOGPUBlobClassData data)
{
    virtio_gpu_blob_discard_class_init(oc);
}

static const TypeInfo window_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_WINDOW,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobWindow),
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
