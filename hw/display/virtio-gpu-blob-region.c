/*
 * virtio-gpu blob mappings: a memory region of its own for one mapping
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For a buffer that cannot be in the window's RAM region: because only the
 * renderer has mapped it, or because another device needs all RAM pinned.
 */

#include "qemu/osdep.h"
#include "qemu/rcu.h"
#include "hw/virtio/vhost.h"
#include "system/kvm.h"
#include "virtio-gpu-blob-compat.h"
#include "virtio-gpu-blob-internal.h"

/* A region in the window splits the window's memory slot into three. */
#define SLOTS_NEEDED 2

/*
 * Regions in the guest's memory, and those that are unmapped
 * and still in use.  The latter take no section of the memory map, so that a
 * guest at the limit may unmap one blob and map another at once.
 */
static unsigned regions;
static unsigned leaving;

/*
 * Counts the references to a region.  The last one may be dropped in any
 * thread, but the region must be finalized with the BQL held, so it is not part
 * of its owner.
 */
#define TYPE_VIRTIO_GPU_BLOB_REGION_OWNER "virtio-gpu-blob-region"
OBJECT_DECLARE_SIMPLE_TYPE(VirtIOGPUBlobRegionOwner,
                           VIRTIO_GPU_BLOB_REGION_OWNER)

struct VirtIOGPUBlobRegionOwner {
    Object parent_obj;

    VirtIOGPUBlobMapping *m;    /* lives until the region is freed */
};

struct VirtIOGPUBlobRegion {
    MemoryRegion mr;
    bool discards_refused;  /* another device needs all RAM pinned */
};

/*
 * QEMU aborts if KVM has no slot, so slots for all regions must be free, not
 * only for the new one: if the guest has moved the BAR away, or hidden it
 * behind another one, the slots of its regions are free now, but will all be
 * needed again at once.  vhost fails only.
 */
static bool has_slots(void)
{
    return (!kvm_enabled() ||
            kvm_get_free_memslots() >= SLOTS_NEEDED * (regions + 1)) &&
           vhost_get_free_memslots() >= SLOTS_NEEDED;
}

/*
 * If KVM checks mappings, VM_PFNMAP and VM_IO must not get a slot.
 * MADV_POPULATE_READ fails for them, and for all memory before Linux 5.14.
 */
static bool may_have_slot(const VirtIOGPUBlobMapping *m, void *host)
{
    return !m->blobs->slot_checks ||
           !madvise(host, virtio_gpu_blob_place_len(&m->place),
                    MADV_POPULATE_READ);
}

static VirtIOGPUBlobReason check_region(const VirtIOGPUBlobMapping *m,
                                        void *host)
{
    if (regions >= VIRTIO_GPU_BLOB_REGIONS_MAX ||
        leaving >= VIRTIO_GPU_BLOB_REGIONS_MAX) {
        return VIRTIO_GPU_BLOB_REGION_LIMIT;
    }
    if (!has_slots()) {
        return VIRTIO_GPU_BLOB_NO_MEMORY_SLOT;
    }
    return may_have_slot(m, host) ? VIRTIO_GPU_BLOB_OK
                                    : VIRTIO_GPU_BLOB_MAP_FAILED;
}

/*
 * If a device needs all RAM pinned, discards are refused.  The region is then
 * that of a device's memory, so that DMA to it is bounced.
 */
static void init_memory(VirtIOGPUBlobRegion *region, Object *owner,
                        void *host, size_t len)
{
    const char *name = "virtio-gpu-blob-region";

    region->discards_refused = ram_block_coordinated_discard_require(true);
    if (region->discards_refused) {
        memory_region_init_ram_device_ptr(&region->mr, owner, name, len, host);
    } else {
        memory_region_init_ram_ptr(&region->mr, owner, name, len, host);
    }
    virtio_gpu_blob_hide_ram(&region->mr);
    /*
     * Keep the region until virtio_gpu_blob_region_free(): its owner drops a
     * reference when it is finalized.
     */
    object_ref(OBJECT(&region->mr));
}

VirtIOGPUBlobReason virtio_gpu_blob_region_map(VirtIOGPUBlobMapping *m,
                                               MemoryRegion *container,
                                               void *host)
{
    VirtIOGPUBlobVMA *vma = virtio_gpu_blob_window_vma(m->blobs->window);
    size_t len = virtio_gpu_blob_place_len(&m->place);
    VirtIOGPUBlobReason reason = check_region(m, host);
    Object *owner;

    if (reason) {
        return reason;
    }
    owner = object_new(TYPE_VIRTIO_GPU_BLOB_REGION_OWNER);
    VIRTIO_GPU_BLOB_REGION_OWNER(owner)->m = m;
    m->region = g_new0(VirtIOGPUBlobRegion, 1);
    regions++;
    virtio_gpu_blob_lost_add(&m->pages, &m->blobs->lost, host, len);
    interval_tree_insert(&m->place.node, &vma->places);
    init_memory(m->region, owner, host, len);
    memory_region_add_subregion_overlap(container, m->place.node.start,
                                        &m->region->mr, 1);
    virtio_gpu_blob_lost_changed();
    return VIRTIO_GPU_BLOB_OK;
}

/*
 * The flat view references the region until all RCU readers are done, and I/O
 * in flight until it ends, in a thread without the BQL.
 */
void virtio_gpu_blob_region_unmap(VirtIOGPUBlobMapping *m,
                                  MemoryRegion *container)
{
    VirtIOGPUBlobVMA *vma = virtio_gpu_blob_window_vma(m->blobs->window);
    Object *owner = m->region->mr.owner;

    interval_tree_remove(&m->place.node, &vma->places);
    regions--;
    leaving++;
    memory_region_del_subregion(container, &m->region->mr);
    virtio_gpu_blob_lost_changed();
    object_unref(owner);
    rcu_expedite();
}

/* Any thread */
static void owner_finalize(Object *obj)
{
    virtio_gpu_blob_region_unused(VIRTIO_GPU_BLOB_REGION_OWNER(obj)->m);
}

void virtio_gpu_blob_region_free(VirtIOGPUBlobMapping *m)
{
    if (!m->region->discards_refused) {
        ram_block_coordinated_discard_require(false);
    }
    leaving--;
    object_unref(OBJECT(&m->region->mr));
    g_clear_pointer(&m->region, g_free);
}

static void owner_class_init(ObjectClass *oc, VirtIOGPUBlobClassData data)
{
    virtio_gpu_blob_discard_class_init(oc);
}

static const TypeInfo owner_info = {
    .name = TYPE_VIRTIO_GPU_BLOB_REGION_OWNER,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VirtIOGPUBlobRegionOwner),
    .instance_finalize = owner_finalize,
    .class_init = owner_class_init,
    .interfaces = (InterfaceInfo[]) {
        { TYPE_RAM_DISCARD_MANAGER },
        { }
    },
};

static void region_register_types(void)
{
    type_register_static(&owner_info);
}

type_init(region_register_types)
