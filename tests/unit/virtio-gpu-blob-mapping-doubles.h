/*
 * The life of a mapping without what is below it: doubles, and a model
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The window and the regions fail as often as they are told to, and give
 * memory of the renderer's back when the test likes.  They check that they are
 * used as they may be.
 */

#ifndef VIRTIO_GPU_BLOB_MAPPING_DOUBLES_H
#define VIRTIO_GPU_BLOB_MAPPING_DOUBLES_H

#include "hw/display/virtio-gpu-blob-pending.h"

#define PAGE ((uint64_t)qemu_real_host_page_size())
#define PAGES 32
#define IDS 8

typedef enum State {
    NOT_MAPPED,
    SHOWN = 1 + VIRTIO_GPU_BLOB_SHOWN,
    ENDING = 1 + VIRTIO_GPU_BLOB_ENDING,
    LEAVING = 1 + VIRTIO_GPU_BLOB_LEAVING,
    RETURNED = 1 + VIRTIO_GPU_BLOB_RETURNED,
} State;

struct VirtIOGPUBlobRegion {
    VirtIOGPUBlobPlace *place; /* NULL: hidden */
    bool is_loan;
    void *opaque;
    QTAILQ_ENTRY(VirtIOGPUBlobRegion) next;
};

/*
 * Resource - what there should be of one
 * @backing: its kind
 * @map_info: what the guest was told
 * @vanished: its buffer has lost its pages
 * @covered: and the window knows
 * @told: and that was said
 * @order: when it was mapped
 * @unref_waits: for the kick's end
 * @detached: its backing was let go of, which may lie in its own region
 * @orphan: the renderer keeps what was lent of one that is gone
 */
typedef struct Resource {
    struct virtio_gpu_virgl_resource *res;
    State state;
    unsigned backing;
    uint32_t map_info;
    bool vanished;
    bool covered;
    bool told;
    uint64_t order;
    bool unref_waits;
    bool detached;
    bool orphan;
} Resource;

/* All there is */
typedef struct World {
    VirtIOGPU gpu;
    VirtIOGPUBlobMappings mappings;
    VirtIOGPUBlobPending pending;
    Resource of[IDS];
    VirtIOGPUBlobPlace *at[PAGES]; /* what the window shows */
    QTAILQ_HEAD(, VirtIOGPUBlobRegion) regions;
    struct virtio_gpu_ctrl_command *suspended;
    unsigned commands;
    unsigned window_fails; /* the next so many calls */
    unsigned region_fails;
    int window_errno;
    bool fixed;
    /* Since the step began */
    bool failed;
    unsigned unmaps;
    unsigned looks;
    unsigned backing; /* of what is being mapped */
    bool resets;
    uint64_t order;
} World;

extern World world;

static inline Resource *resource_of(const VirtIOGPUBlobMapping *m)
{
    return &world.of[m->resource_id];
}

static inline VirtIOGPUBlobMapping *mapping_of(VirtIOGPUBlobPlace *place)
{
    return container_of(place, VirtIOGPUBlobMapping, place);
}

static inline unsigned first_page(const VirtIOGPUBlobPlace *place)
{
    return virtio_gpu_blob_place_offset(place) / PAGE;
}

static inline unsigned end_page(const VirtIOGPUBlobPlace *place)
{
    return first_page(place) + virtio_gpu_blob_place_len(place) / PAGE;
}

/**
 * double_lose() - a mapping's buffer loses its pages
 * @place: the mapping's, which the guest sees
 */
void double_lose(VirtIOGPUBlobPlace *place);

/**
 * double_free_region() - nobody refers to a region any more
 * @region: hidden
 */
void double_free_region(VirtIOGPUBlobRegion *region);

#endif /* VIRTIO_GPU_BLOB_MAPPING_DOUBLES_H */
