/*
 * virtio-gpu blob mappings: a region of its own for one blob
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "hw/virtio/vhost.h"
#include "system/kvm.h"
#include "virtio-gpu-blob-region.h"

/*
 * A region within the window makes three slots of one: what comes before,
 * itself, and what comes after.
 */
#define SLOTS_NEEDED 2

struct VirtIOGPUBlobRegion {
    Object parent_obj;

    struct rcu_head rcu;
    MemoryRegion mr;
    MemoryRegion *container;
    VirtIOGPUBlobRegionGone gone;
    void *opaque;
};

bool virtio_gpu_blob_region_room(unsigned regions)
{
    unsigned needed = (regions + 1) * SLOTS_NEEDED;

    /* GCOVR_EXCL_START: needs KVM or vhost, and hundreds of slots in use */
    if (kvm_enabled() && kvm_get_free_memslots() < needed) {
        return false;
    }
    return vhost_get_free_memslots() >= needed;
    /* GCOVR_EXCL_STOP */
}

VirtIOGPUBlobRegion *virtio_gpu_blob_region_new(MemoryRegion *container,
                                                uint64_t offset, void *host,
                                                uint64_t len,
                                                VirtIOGPUBlobRegionGone gone,
                                                void *opaque)
{
    Object *obj = object_new(TYPE_VIRTIO_GPU_BLOB_REGION);
    VirtIOGPUBlobRegion *region = VIRTIO_GPU_BLOB_REGION(obj);

    region->container = container;
    region->gone = gone;
    region->opaque = opaque;
    /*
     * Not plain RAM: VFIO gives up on RAM that it cannot pin, and a GPU's
     * pages often are such.
     */
    memory_region_init_ram_device_ptr(&region->mr, obj,
                                      "virtio-gpu-blob-region", len, host);
    memory_region_add_subregion_overlap(container, offset, &region->mr, 1);
    return region;
}

/*
 * I/O in flight may refer to the region, and be done in a thread without the
 * BQL.  A region must not end there: the last reference is ours.
 */
static void region_reclaim(struct rcu_head *rcu)
{
    VirtIOGPUBlobRegion *region = container_of(rcu, VirtIOGPUBlobRegion, rcu);

    if (qatomic_read(&OBJECT(region)->ref) > 1) {
        call_rcu1(rcu, region_reclaim);
        return;
    }
    object_unref(OBJECT(region));
}

void virtio_gpu_blob_region_delete(VirtIOGPUBlobRegion *region)
{
    memory_region_del_subregion(region->container, &region->mr);
    call_rcu1(&region->rcu, region_reclaim);
}

static void region_finalize(Object *obj)
{
    VirtIOGPUBlobRegion *region = VIRTIO_GPU_BLOB_REGION(obj);

    region->gone(region->opaque);
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
