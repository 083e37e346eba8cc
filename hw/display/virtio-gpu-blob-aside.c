/*
 * virtio-gpu blob mappings: buffers step aside while memory slots are made
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/timer.h"
#include "hw/core/cpu.h"
#include "system/accel-blocker.h"
#include "trace.h"
#include "virtio-gpu-blob-aside.h"

#if QEMU_VERSION_MAJOR > 10 || QEMU_VERSION_MINOR >= 1
#include "system/address-spaces.h"
#else
#include "exec/address-spaces.h"
#endif

/*
 * A vCPU that was kicked needs the BQL before it enters the guest again, and
 * the BQL is held until the guest's memory is complete.  KVM's listener waits
 * for vCPUs in the same way, but only while it makes the slots, and inhibiting
 * does not nest.
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

typedef void EachKept(VirtIOGPUBlobAside *aside, VirtIOGPUBlobPlace *place);

static void for_each_kept(VirtIOGPUBlobAside *aside, EachKept *func)
{
    int64_t start = get_clock();
    IntervalTreeNode *node;

    for (node = interval_tree_iter_first(&aside->holes->filled, 0, UINT64_MAX);
         node; node = interval_tree_iter_next(node, 0, UINT64_MAX)) {
        VirtIOGPUBlobPlace *place = virtio_gpu_blob_place_of(node);

        if (place->kept >= 0 && !qatomic_read(&place->lost)) {
            func(aside, place);
        }
    }
    aside->ns += get_clock() - start;
}

/*
 * A kernel that has no memory for a mapping which takes another's place leaves
 * nothing that could be done.
 */
static void step_aside(VirtIOGPUBlobAside *aside, VirtIOGPUBlobPlace *place)
{
    virtio_gpu_blob_holes_cover(aside->holes, place);
}

/* The driver may refuse: what remains is a hole. */
static void come_back(VirtIOGPUBlobAside *aside, VirtIOGPUBlobPlace *place)
{
    if (virtio_gpu_blob_holes_uncover(aside->holes, place, place->kept)) {
        virtio_gpu_blob_aside_drop(aside, place);
        virtio_gpu_blob_holes_lose(aside->holes, place);
        aside->lost++;
    }
}

static void before_slots(MemoryListener *listener,
                         MemoryRegionSection *section)
{
    VirtIOGPUBlobAside *aside = container_of(listener, VirtIOGPUBlobAside,
                                             before);

    if (section->mr != aside->mr || !aside->kept || aside->out) {
        return;
    }
    aside->out = true;
    aside->lost = aside->ns = 0;
    stop_vcpus();
    for_each_kept(aside, step_aside);
}

static void after_slots(MemoryListener *listener)
{
    VirtIOGPUBlobAside *aside = container_of(listener, VirtIOGPUBlobAside,
                                             after);

    if (!aside->out) {
        return;
    }
    for_each_kept(aside, come_back);
    aside->out = false;
    trace_virtio_gpu_blob_aside(aside->kept, aside->lost, aside->ns);
}

void virtio_gpu_blob_aside_init(VirtIOGPUBlobAside *aside, MemoryRegion *mr,
                                VirtIOGPUBlobHoles *holes)
{
    aside->mr = mr;
    aside->holes = holes;
    aside->before = (MemoryListener) {
        .name = "virtio-gpu-blob-before",
        .priority = MEMORY_LISTENER_PRIORITY_MIN,
        .region_add = before_slots,
    };
    aside->after = (MemoryListener) {
        .name = "virtio-gpu-blob-after",
        .priority = MEMORY_LISTENER_PRIORITY_ACCEL + 1,
        .commit = after_slots,
    };
    memory_listener_register(&aside->before, &address_space_memory);
    memory_listener_register(&aside->after, &address_space_memory);
}

void virtio_gpu_blob_aside_destroy(VirtIOGPUBlobAside *aside)
{
    if (aside->mr) {
        memory_listener_unregister(&aside->before);
        memory_listener_unregister(&aside->after);
        aside->mr = NULL;
    }
}

bool virtio_gpu_blob_aside_keep(VirtIOGPUBlobAside *aside,
                                VirtIOGPUBlobPlace *place, int fd)
{
    if (!aside->mr) {
        return true;
    }
    place->kept = qemu_dup(fd);
    if (place->kept < 0) {
        return false;
    }
    aside->kept++;
    return true;
}

void virtio_gpu_blob_aside_drop(VirtIOGPUBlobAside *aside,
                                VirtIOGPUBlobPlace *place)
{
    if (place->kept >= 0) {
        close(place->kept);
        place->kept = -1;
        aside->kept--;
    }
}
